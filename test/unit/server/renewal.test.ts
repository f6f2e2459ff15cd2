import { afterEach, expect, test, vi } from 'vitest';
import { until } from '../../support/until.ts';
import { json, makeKey, openTestProvider } from './support/provider.ts';
import { call, openWorld } from './support/world.ts';

afterEach(() => void vi.useRealTimers());

const hour = 60 * 60_000;

test("the provider's metadata is read again every hour; what was known stays while that fails", async () => {
  const provider = await openTestProvider();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
  const world = await openWorld({ provider });
  try {
    const asked = provider.counts.discovery ?? 0;
    provider.instead.set('discovery', (_req, res) => json(res, 500, {}));
    await vi.advanceTimersByTimeAsync(hour);
    await until('the failed renewal', 10_000, () => world.log().includes('answered 500'));
    expect(provider.counts.discovery).toBeGreaterThan(asked);
    expect((await world.rpc(await world.token(), call())).status).toBe(200);
    expect((await world.send('GET', '/readyz')).status).toBe(200);

    const moved = await makeKey('moved');
    provider.metadata = { ...provider.metadata, jwks_uri: `${provider.issuer}/moved` };
    provider.instead.set('other', (_req, res) => json(res, 503, {}));
    provider.instead.delete('discovery');
    const tried = provider.counts.other ?? 0;
    await until('a look at the new keys', 15_000, () => (provider.counts.other ?? 0) > tried);
    // Made after the metadata moved, so that no remembered verdict answers for it.
    expect((await world.rpc(await world.token('later'), call())).status).toBe(200);
    provider.instead.set('other', (_req, res) => json(res, 200, { keys: [moved.jwk] }));
    await until('the new metadata', 15_000, () => world.verification().includes('/moved'));
    const token = await provider.jwt({ key: moved, claims: { aud: `${world.origin}/mcp` } });
    expect((await world.rpc(token, call())).status).toBe(200);
  } finally {
    await world.close();
    await provider.close();
  }
});
