import { setTimeout as delay } from 'node:timers/promises';
import { fetchPage, visit } from './contestants.mjs';
import { inWorld, isOk, signIn, told } from './world.mjs';

/** Row 10. */
export const forgedRedirect = {
  title: 'during a sign-in another page sends requests to the loopback redirect URI',
  run: (contestant) =>
    inWorld({}, async ({ mcp }) => {
      const client = contestant.start(mcp);
      const called = client.initialize().then(() => client.call('whoami', {}, 30_000));
      const page = await contestant.page();
      await delay(1_000);
      const redirect = new URL(page).searchParams.get('redirect_uri');
      let claimed = 0;
      for (const query of ['code=evil', 'code=evil&state=wrong', 'error=access_denied&state=wrong']) {
        const { text } = await fetchPage(`${redirect}?${query}`);
        if (/success|signed in|complete/i.test(text)) claimed++;
      }
      await visit(page);
      const answer = await called;
      const pages = claimed > 0 ? `${claimed} of 3 got a page of success` : 'none got a page of success';
      return `${pages}; then the real one: ${told(answer, 30_000)}`;
    }),
};

/** Row 11. */
export const forgottenClient = {
  title: 'the authorization server has forgotten our dynamic client, with and without a refresh token',
  async run(contestant) {
    const outcomes = [];
    for (const refreshes of [true, false]) {
      const told = await inWorld({ refreshes }, (world) => forgetAndStart(contestant, world));
      outcomes.push(`${refreshes ? 'with' : 'without'}: ${told}`);
    }
    return outcomes.join('. ');
  },
};

async function forgetAndStart(contestant, { issuer, mcp }) {
  const { client: before } = await signIn(contestant, mcp);
  await before.stop();
  issuer.forgetClients();
  const starts = [];
  for (const number of [1, 2]) {
    const outcome = await startAnew(contestant, mcp);
    starts.push(`start ${number}: ${outcome.text}`);
    if (outcome.ok) break;
  }
  return starts.join('; ');
}

async function startAnew(contestant, url) {
  const before = contestant.pages().length;
  const startedAt = performance.now();
  const client = contestant.start(url);
  const called = client.initialize(20_000).then(() => client.call('whoami', {}, 20_000));
  const page = await Promise.race([contestant.page(before, 20_000), called.then(() => undefined)]);
  const seen = page && (await visit(page));
  const answer = { ...(await called), ms: performance.now() - startedAt };
  await client.stop();
  const shown = page ? `a page (status ${seen.status})` : 'no page';
  return { ok: isOk(answer), text: `${shown}, ${told(answer, 20_000)}` };
}

/** Row 12. */
export const stepUp = {
  title: 'a tool needs a further scope: 403 `insufficient_scope`, over each transport',
  async run(contestant) {
    const outcomes = [];
    for (const path of ['mcp', 'sse']) {
      outcomes.push(`${path === 'mcp' ? 'HTTP' : 'SSE'}: ${await stepUpOver(contestant, path)}`);
    }
    return outcomes.join('; ');
  },
};

function stepUpOver(contestant, path) {
  return inWorld({}, async (world) => {
    const { client } = await signIn(contestant, world[path]);
    const before = contestant.pages().length;
    const called = client.call('write', {}, 20_000);
    const page = await Promise.race([contestant.page(before, 20_000), called.then(() => undefined)]);
    if (page) await visit(page);
    const answer = await called;
    await client.stop();
    return `${page ? 'one more page, ' : ''}${told(answer, 20_000)}`;
  });
}
