import { relative } from 'node:path';
import { inWorld, isOk, signIn, time } from './world.mjs';

/** Row 7. */
export const revokedForFour = {
  title: 'four instances, all access tokens revoked, rotating refresh tokens: all call at once',
  run: (contestant) =>
    inWorld({ tokenMs: 150 }, async ({ issuer, mcp }) => {
      const { client: first } = await signIn(contestant, mcp);
      await first.stop();
      const clients = [1, 2, 3, 4].map(() => contestant.start(mcp));
      for (const client of clients) {
        await client.initialize();
        await client.call('whoami');
      }
      const [before, pages] = [{ ...issuer.saw }, contestant.pages().length];
      issuer.revokeAccessTokens();
      const answers = await Promise.all(clients.map((client) => client.call('whoami', {}, 20_000)));
      const { refreshes, reuses } = issuer.saw;
      return [
        plural(refreshes - before.refreshes, 'refresh', 'refreshes'),
        reuses > before.reuses ? 'reuse detected, family revoked' : 'no reuse',
        plural(contestant.pages().length - pages, 'page'),
        `${answers.filter(isOk).length} of 4 calls answered`,
      ].join(', ');
    }),
};

/** Row 8. */
export const shortLife = {
  title: 'access tokens that live 60 s: 60 calls in a row',
  run: (contestant) => sixtyCalls(contestant, { lifetimeS: 60, rotates: false }),
};

/** Row 9. */
export const shortLifeRotating = {
  title: 'the same with rotating refresh tokens',
  run: (contestant) => sixtyCalls(contestant, { lifetimeS: 60 }),
};

function sixtyCalls(contestant, options) {
  return inWorld(options, async ({ issuer, mcp }) => {
    const { client } = await signIn(contestant, mcp);
    const before = { ...issuer.saw };
    const startedAt = performance.now();
    let ok = 0;
    for (let count = 0; count < 60; count++) ok += isOk(await client.call('whoami', {}, 10_000)) ? 1 : 0;
    const family = issuer.saw.reuses > 0 ? ', reuse detected, family revoked' : '';
    const refreshes = plural(issuer.saw.refreshes - before.refreshes, 'refresh', 'refreshes');
    return `${refreshes}, ${ok} of 60 calls answered in ${time(performance.now() - startedAt)}${family}`;
  });
}

/** Row 13. */
export const atRest = {
  title: 'files below the home folder with a token in clear, after a sign-in',
  run: (contestant) =>
    inWorld({}, async ({ issuer, mcp }) => {
      await signIn(contestant, mcp);
      const files = contestant.filesWith(issuer.tokens()).map((file) => relative(contestant.home, file));
      const note = contestant.name === 'ours' ? ' (sealed file; the default is the keychain)' : '';
      return files.length > 0 ? files.join(', ').replaceAll(/[0-9a-f]{32}/g, '…') : `none${note}`;
    }),
};

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
