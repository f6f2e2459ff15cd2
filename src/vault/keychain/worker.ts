import { nativeBackends } from './backend.ts';
import type { Answer, Question } from './child.ts';

/**
 * The process that talks to the keychain (see child.ts): answers each question of its parent, and ends with it.
 * A write that is under way then gets half a second, since it may hold the only copy of a refreshed token.
 */
const graceMs = 500;
const backends = nativeBackends();
let busy = 0;
let orphaned = false;

process.on('message', (question: Question) => {
  busy++;
  void answer(question).then((answer) => {
    process.send?.(answer, () => {});
    busy--;
    if (orphaned && busy === 0) end();
  });
});
process.on('disconnect', () => {
  orphaned = true;
  if (busy === 0) end();
  else setTimeout(end, graceMs);
});
// Ctrl-C reaches the whole group; the parent decides when this process ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

async function answer({ id, binding, method, account, value }: Question): Promise<Answer> {
  try {
    const backend = backends.find(({ name }) => name === binding);
    if (!backend) throw new Error(`no binding ${binding}`);
    if (method === 'set') await backend.set(account, value ?? '');
    return { id, value: method === 'set' ? null : await backend[method](account) };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { id, error: { message, code } };
  }
}

/** Not process.exit: that waits for native calls, and one may be waiting for a person. */
function end(): void {
  process.kill(process.pid, 'SIGKILL');
}
