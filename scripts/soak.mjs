// npm run soak -- --calls N --seed S --transport sse|http
// N calls with distinct numbers through the built command and a faulty network; ends with one JSON line.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    transport: { type: 'string', default: 'http' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'soak-'));
try {
  for (const name of ['soak', 'model']) {
    await build({
      entryPoints: [join(root, `test/support/fault-${name === 'soak' ? 'soak' : 'model-main'}.ts`)],
      outfile: join(folder, `${name}.mjs`),
      bundle: true,
      format: 'esm',
      platform: 'node',
      external: ['esbuild'],
      logLevel: 'warning',
    });
  }
  const { soak } = await import(pathToFileURL(join(folder, 'soak.mjs')).href);
  const figures = await soak({
    calls: Number(values.calls),
    seed: Number(values.seed),
    transport: values.transport === 'sse' ? 'sse' : 'http',
    command: join(root, 'bin/mcp-whoami.js'),
    model: join(folder, 'model.mjs'),
    folder,
    say: (text) => process.stderr.write(`${text}\n`),
  });
  process.stdout.write(`${JSON.stringify(figures)}\n`);
  process.exitCode = figures.lost + figures.doubled + figures.unanswered > 0 || figures.died ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
// The figures are out; nobody waits for what the faults left half open.
process.exit();
