// npm run bench: the bridges, then the servers. node bench/setup.mjs once before.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

for (const part of ['bridge', 'server']) {
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, part, 'run.mjs')], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}
