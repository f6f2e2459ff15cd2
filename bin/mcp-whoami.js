#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/main.js', import.meta.url);
if (!existsSync(built)) {
  process.stderr.write('mcp-whoami: this checkout has not been built\n  → npm ci && npm run build\n');
  process.exit(1);
}
const { run } = await import(built.href);

process.exitCode = await run(process.argv.slice(2));
// A native binding or an idle pipe may still hold the event loop; nobody waits for them.
setTimeout(() => process.exit(), 300).unref();
