#!/usr/bin/env node
import { run } from '../dist/main.js';

process.exitCode = await run(process.argv.slice(2));
// A native binding or an idle pipe may still hold the event loop; nobody waits for them.
setTimeout(() => process.exit(), 300).unref();
