// One of many processes that fight for a lock (see ../locks.test.ts).
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { openLocks } from '../../../../src/vault/locks.ts';

const [configDir = '', platform = '', rounds = '0', counter = ''] = process.argv.slice(2);
const locks = openLocks(configDir, platform as NodeJS.Platform);

for (let round = 0; round < Number(rounds); round++) {
  const lock = await locks.acquire('count', 60_000);
  const inside = `${counter}.inside`;
  if (existsSync(inside)) throw new Error('two at a time');
  writeFileSync(inside, '', { flag: 'wx' });
  const before = Number(readFileSync(counter, 'utf8'));
  await setImmediate();
  writeFileSync(counter, String(before + 1));
  rmSync(inside);
  await lock.release();
}
if (rounds === '0') {
  await locks.acquire('count', 10_000);
  process.stdout.write('held\n');
  setInterval(() => {}, 1_000);
}
