// npm run replicas -- --calls N --replicas N --bridges N --transport sse|http --rounds N [--kill-redis] [--drain]
// N calls through a balancer without stickiness while replicas are killed; ends with one JSON line.
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '20000' },
    replicas: { type: 'string', default: '4' },
    bridges: { type: 'string', default: '20' },
    transport: { type: 'string', default: 'sse' },
    rounds: { type: 'string', default: '20' },
    drain: { type: 'boolean', default: false },
    'kill-redis': { type: 'boolean', default: false },
  },
});
// As deep below the root as the files it is made of: they find the command from where they are.
const folder = join(root, '.tmp', `replicas-${process.pid}`);
mkdirSync(folder, { recursive: true });
try {
  const outfile = join(folder, 'run.mjs');
  await build({
    entryPoints: [join(root, 'test/support/fleet-run.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
  const { runFleet } = await import(pathToFileURL(outfile).href);
  const figures = await runFleet({
    calls: Number(values.calls),
    replicas: Number(values.replicas),
    bridges: Number(values.bridges),
    transport: values.transport === 'http' ? 'http' : 'sse',
    rounds: Number(values.rounds),
    how: values.drain ? 'drain' : 'kill',
    killRedis: values['kill-redis'],
    say: (text) => process.stderr.write(`${text}\n`),
  });
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  process.exitCode = figures.lost + figures.doubled + figures.wrong > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
