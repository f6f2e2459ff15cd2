import { build, type Metafile } from 'esbuild';
import { expect, test } from 'vitest';

const entry = 'src/server/server.ts';

const bundled = build({
  entryPoints: [entry],
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  outdir: 'unused',
  write: false,
  metafile: true,
  logLevel: 'silent',
});

/** What is loaded with a file at once: all that it imports, and not what it may import later. */
function loadedWith(file: string, { inputs }: Metafile, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const { path, kind } of inputs[file]?.imports ?? []) {
    if (kind !== 'dynamic-import') loadedWith(path, { inputs, outputs: {} }, found);
  }
  return found;
}

test.each([
  ['the client library of Redis', '--redis', /@redis\/client|sessions\/redis/],
  ['the library that counts', '--metrics-port', /prom-client|metrics\/metrics/],
])('%s is loaded with %s alone', async (_what, _flag, pattern) => {
  const { metafile } = await bundled;
  const isPart = (file: string) => pattern.test(file);
  expect(Object.keys(metafile.inputs).some(isPart)).toBe(true);
  expect([...loadedWith(entry, metafile)].filter(isPart)).toEqual([]);
});
