import { build, type Metafile } from 'esbuild';
import { expect, test } from 'vitest';

const entry = 'src/server/server.ts';

/** What is loaded with a file at once: all that it imports, and not what it may import later. */
function loadedWith(file: string, { inputs }: Metafile, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const { path, kind } of inputs[file]?.imports ?? []) {
    if (kind !== 'dynamic-import') loadedWith(path, { inputs, outputs: {} }, found);
  }
  return found;
}

test('the client library of Redis is loaded with --redis alone', async () => {
  const { metafile } = await build({
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
  const isRedis = (file: string) => file.includes('@redis/client') || file.includes('sessions/redis');
  expect(Object.keys(metafile.inputs).some(isRedis)).toBe(true);
  expect([...loadedWith(entry, metafile)].filter(isRedis)).toEqual([]);
});
