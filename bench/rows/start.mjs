import { setTimeout as delay } from 'node:timers/promises';
import { openRemote } from '../lib/remote.mjs';
import { staticToken, startRemote } from '../lib/start-remote.mjs';
import { visit } from './contestants.mjs';
import { inWorld, isOk, time, told } from './world.mjs';

const slowPersonMs = 15_000;

/** Row 1. */
export const firstSignIn = {
  title: 'the first sign-in takes 15 s: when is `initialize` answered?',
  run: (contestant) =>
    inWorld({}, async (world) => {
      const client = contestant.start(world.mcp);
      const greeted = client.initialize();
      const called = greeted.then(() => client.call('whoami'));
      const page = await contestant.page();
      await delay(slowPersonMs);
      await visit(page);
      const { coldMs, result } = await greeted;
      const call = await called;
      if (!result) return 'never';
      return `after ${time(coldMs)}; the call that asked for it: ${told(call)}`;
    }),
};

/** Row 2. */
export const serverDown = {
  title: 'the server is down at the start and comes up 3 s later',
  async run(contestant) {
    const before = await startRemote();
    await before.kill();
    const client = contestant.start(`${before.origin}/mcp`, { token: staticToken });
    const greeted = client.initialize(20_000);
    await delay(3_000);
    const remote = await startRemote(before.port);
    const upAt = performance.now();
    try {
      const { exited, result, coldMs } = await greeted;
      if (exited) return `exit ${exited.code} after ${time(exited.ms)}, \`initialize\` unanswered`;
      if (!result) return '`initialize` unanswered';
      const call = await callUntilOk(client, 20_000);
      const then = isOk(call) ? `ok ${time(performance.now() - upAt)} after it came up` : told(call);
      return `\`initialize\` after ${time(coldMs)}; call ${then}`;
    } finally {
      await remote.kill();
    }
  },
};

/** Row 15. */
export const chatter = {
  title: 'what a start costs the server, with a token given by hand (Streamable HTTP, until the first call)',
  async run(contestant) {
    const gate = ({ token }) => (token === staticToken ? undefined : { status: 401, challenge: 'Bearer' });
    const remote = await openRemote({ gate });
    try {
      const client = contestant.start(`${remote.origin}/mcp`, { token: staticToken });
      await client.initialize();
      // What it does beside the handshake, it does within a second.
      await delay(1_500);
      const requests = Object.entries(remote.seen).map(([what, times]) =>
        times > 1 ? `${times} x ${what}` : what,
      );
      return `${sumOf(remote.seen)} requests: ${requests.join(', ')}`;
    } finally {
      await remote.close();
    }
  },
};

const sumOf = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Calls again and again until it works, or `limitMs` are over. Out: the last answer. */
export async function callUntilOk(client, limitMs) {
  for (const end = Date.now() + limitMs; ; await delay(100)) {
    const answer = await client.call('whoami', {}, Math.max(1, end - Date.now()));
    if (isOk(answer) || answer.exited || Date.now() > end) return answer;
  }
}
