// Runs steps on a vault in a process of its own (see vault-process.ts) and prints one line a step.
import { createLog } from '../../src/lib/log.ts';
import { Secret } from '../../src/lib/secret.ts';
import { openIndex } from '../../src/vault/index-file.ts';
import { childBackends } from '../../src/vault/keychain/child.ts';
import { openLocks } from '../../src/vault/locks.ts';
import { openVault } from '../../src/vault/open.ts';
import type { Job, Outcome } from './vault-process.ts';

const job = JSON.parse(process.argv[2] ?? '') as Job;
const print = (outcome: Outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`);
const log = createLog({ level: 'info', write: (line) => process.stderr.write(line) });
const locks = openLocks(job.configDir);
const index = openIndex(job.configDir, locks, log);
const environment = { ...process.env };
const vault = await openVault({
  store: job.store,
  configDir: job.configDir,
  passphrase: undefined,
  log,
  waitMs: job.waitMs ?? 20_000,
  index,
  environment,
  ...(job.only ? { backends: childBackends(environment).filter(({ name }) => name === job.only) } : {}),
  ...(job.maxEntryBytes ? { maxEntryBytes: job.maxEntryBytes } : {}),
});

print({ kind: vault.kind });
for (const [what, key, value = ''] of job.steps) {
  try {
    if (what === 'place') print({ value: JSON.stringify(await index.place(key)) });
    else if (what === 'load') print({ value: (await vault.load(key))?.reveal() });
    else if (what === 'save') print({ done: await vault.save(key, new Secret(value)).then(() => true) });
    else print({ done: await vault.remove(key).then(() => true) });
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint?: string };
    print({ code, message, hint });
  }
}
process.exit(0);
