import { openSync, writeSync } from 'node:fs';
import { type ModelOptions, startModel } from './model-server.ts';

// The model server as a process of its own. Arguments: port, file of effects, options as JSON.
const [port, path = '', options = '{}'] = process.argv.slice(2);
const file = openSync(path, 'a');
const model = await startModel({
  ...(JSON.parse(options) as ModelOptions),
  port: Number(port),
  // Written before it is answered, by one system call: a kill cannot come between the two and hide an effect.
  effect: (n) => void writeSync(file, `${n}\n`),
});
process.stdout.write(`${model.port}\n`);
