// Installs what ours is measured against, each peer in a folder of its own below bench/.peers.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { companions, peersFolder, versions } from './lib/peers.mjs';

for (const [name, version] of Object.entries(versions)) {
  const folder = join(peersFolder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const packages = [`${name}@${version}`, ...(companions[name] ?? [])];
  console.log(packages.join(' '));
  const options = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--loglevel=error'];
  const { status } = spawnSync('npm', ['install', ...options, ...packages], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
}
