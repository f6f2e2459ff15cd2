import { setTimeout as delay } from 'node:timers/promises';
import { staticToken, startRemote } from '../lib/start-remote.mjs';
import { openHole } from './hole.mjs';
import { callUntilOk } from './start.mjs';
import { isOk, time, told } from './world.mjs';

/** How long a row waits for what may never come. Milliseconds. */
const patienceMs = 60_000;
const token = staticToken;

/** Row 3. */
export const killedOverHttp = {
  title: 'the server is killed during a call (Streamable HTTP)',
  async run(contestant) {
    const remote = await startRemote();
    const { called } = await midCall(contestant, `${remote.origin}/mcp`);
    const killedAt = performance.now();
    await remote.kill();
    return told(since(await called, killedAt), patienceMs);
  },
};

/** Row 4. */
export const killedOverSse = {
  title: 'the same over HTTP+SSE; the server is back at once',
  async run(contestant) {
    const remote = await startRemote();
    const { client, called } = await midCall(contestant, `${remote.origin}/sse`);
    const killedAt = performance.now();
    await remote.kill();
    const next = await startRemote(remote.port);
    try {
      const lost = since(await called, killedAt);
      const first = await client.call('whoami');
      if (isOk(first)) return `${told(lost)}; the next call ${told(first)}`;
      const again = performance.now();
      const later = await callUntilOk(client, patienceMs);
      const then = isOk(later) ? `ok ${time(performance.now() - again)} later` : told(later);
      return `${told(lost)}; the next call: ${told(first)}; ${then}`;
    } finally {
      await next.kill();
    }
  },
};

/** Row 5. */
export const silentSse = {
  title: 'the connection goes silent (sleep, NAT), HTTP+SSE: calls made from then on',
  run: (contestant) =>
    throughHole(async ({ origin, swallow }) => {
      const client = contestant.start(`${origin}/sse`, { token });
      await client.initialize();
      await client.call('whoami');
      swallow();
      const silentAt = performance.now();
      const first = await client.call('whoami', {}, patienceMs);
      if (first.late) return told(first, patienceMs);
      if (isOk(first)) return `the first one ${told(first)}`;
      const later = await callUntilOk(client, patienceMs);
      const then = isOk(later) ? `working again after ${time(performance.now() - silentAt)}` : told(later);
      return `the first one: ${told(first)}; ${then}`;
    }),
};

/** Row 6. */
export const silentHttp = {
  title: 'the same over Streamable HTTP: a call in flight, and a new one',
  run: (contestant) =>
    throughHole(async ({ origin, swallow }) => {
      const { client, called } = await midCall(contestant, `${origin}/mcp`);
      swallow();
      const silentAt = performance.now();
      const lost = called.then((answer) => since(answer, silentAt));
      const fresh = await client.call('whoami', {}, patienceMs);
      return `in flight: ${told(await lost, patienceMs)}; new: ${told(fresh, patienceMs)}`;
    }),
};

/** A bridge with a call that takes a minute and is surely at the server. */
async function midCall(contestant, url) {
  const client = contestant.start(url, { token });
  await client.initialize();
  await client.call('whoami');
  const called = client.call('slow', { ms: 2 * patienceMs }, patienceMs);
  await delay(500);
  return { client, called };
}

/** The answer's time counted from another moment than that of the request. */
const since = (answer, at) => ({ ...answer, ms: performance.now() - at });

async function throughHole(story) {
  const remote = await startRemote();
  const hole = await openHole(remote.port);
  try {
    return await story(hole);
  } finally {
    await hole.close();
    await remote.kill();
  }
}
