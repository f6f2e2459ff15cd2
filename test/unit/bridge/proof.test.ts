import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BoundToken } from '../../../src/lib/access.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { createTokens, startClient, type TestClient } from './support/client.ts';
import { type FakeRemote, startRemote } from './support/remote.ts';

let remote: FakeRemote;
let client: TestClient;
const others: FakeRemote[] = [];
afterEach(async () => {
  await client.close();
  await Promise.all([remote, ...others.splice(0)].map((server) => server.stop()));
});

/** Proofs that tell what they are for; each has a number of its own. */
function createBoundTokens() {
  const nonces = new Map<string, string>();
  const bind = (token: Secret) =>
    new BoundToken(token, {
      prove: async (method, url) => {
        proofs += 1;
        return [proofs, method, `${url.origin}${url.pathname}`, nonces.get(url.origin) ?? '-'].join(' ');
      },
      heard: (url, nonce) => {
        if (nonce !== undefined) nonces.set(url.origin, nonce);
      },
    });
  let proofs = 0;
  const inner = createTokens('token-1');
  const tokens = {
    ...inner,
    nonces,
    renewals: 0,
    next: 'token-2' as string | undefined,
    current: async () => bind(new Secret(tokens.value ?? '')),
    renew: async () => {
      tokens.renewals += 1;
      tokens.value = tokens.next;
      return bind(new Secret(tokens.value ?? ''));
    },
    insufficient: inner.insufficient,
  };
  return tokens;
}

const refuse = (response: ServerResponse, challenge: string, headers = {}) =>
  void response.writeHead(401, { 'www-authenticate': challenge, ...headers }).end();
const calls = () => remote.sent('tools/call');
const proofOf = ({ headers }: { headers: Record<string, unknown> }) => String(headers.dpop).split(' ');

async function begin(kind: 'http' | 'sse', tokens = createBoundTokens()) {
  remote = await startRemote(kind);
  client = startClient(remote.url, { tokens });
  await client.initialize();
  await client.call();
  remote.received.length = 0;
  return tokens;
}

/** Looks at the calls alone. */
function gateCalls(gate: NonNullable<FakeRemote['gate']>): void {
  remote.gate = (...request) => remote.received.at(-1)?.json.method === 'tools/call' && gate(...request);
}

describe.each(['http', 'sse'] as const)('a bound token over %s', (kind) => {
  test('each request has a proof of its own, for its method and its address without the query', async () => {
    await begin(kind);
    await client.call({ n: 1 });
    const seen = remote.received.filter(({ path }) => !path.startsWith('/.well-known'));
    for (const each of seen) {
      const [, method, target] = proofOf(each);
      expect(each.headers.authorization).toBe('DPoP token-1');
      expect([method, target]).toEqual([each.verb, `${remote.url.origin}${each.path}`]);
    }
    expect(new Set(seen.map((each) => proofOf(each)[0])).size).toBe(seen.length);
  });

  test('a nonce that is asked for: once more with it; no renewal, and the call has run once', async () => {
    const tokens = await begin(kind);
    gateCalls((request, response) => {
      if (String(request.headers.dpop).endsWith(' n1')) return false;
      refuse(response, 'DPoP error="use_dpop_nonce"', { 'dpop-nonce': 'n1' });
      return true;
    });
    let ran = 0;
    const { onMessage } = remote;
    remote.onMessage = (message, reply) => {
      if (message.method === 'tools/call') ran += 1;
      onMessage(message, reply);
    };
    expect(await client.call({ n: 1 })).toMatchObject({ result: {} });
    expect(await client.call({ n: 2 })).toMatchObject({ result: {} });
    expect(calls().map((each) => proofOf(each)[3])).toEqual(['-', 'n1', 'n1']);
    expect(ran).toBe(2);
    expect(tokens.renewals).toBe(0);
  });

  test('a nonce that comes with an answer is in the next proof', async () => {
    const { nonces } = await begin(kind);
    gateCalls((_request, response) => {
      response.setHeader('dpop-nonce', 'n2');
      return false;
    });
    await client.call({ n: 1 });
    // Over HTTP+SSE the answer of the call may overtake the one of its POST.
    await vi.waitFor(() => expect(nonces.size).toBe(1));
    await client.call({ n: 2 });
    expect(calls().map((each) => proofOf(each)[3])).toEqual(['-', 'n2']);
  });

  test(threat('C19', 'a nonce behind each proof, for ever: two tries, no renewal, an error'), async () => {
    const tokens = await begin(kind);
    let count = 0;
    gateCalls((_request, response) => {
      count += 1;
      refuse(response, 'DPoP error="use_dpop_nonce"', { 'dpop-nonce': `n${count}` });
      return true;
    });
    const answer = JSON.stringify(await client.call({ n: 1 }));
    expect(answer).toContain('does not accept the proof');
    expect(answer).not.toContain('token-1');
    expect(calls()).toHaveLength(2);
    expect(tokens.renewals).toBe(0);
  });

  test('a nonce and then a refused token: one renewal, and the nonce is asked for once more', async () => {
    const tokens = await begin(kind);
    gateCalls((request, response) => {
      const nonce = proofOf(request)[3];
      const wanted = request.headers.authorization === 'DPoP token-2' ? 'b' : 'a';
      if (nonce !== wanted) refuse(response, 'DPoP error="use_dpop_nonce"', { 'dpop-nonce': wanted });
      else if (wanted === 'a') refuse(response, 'DPoP error="invalid_token"');
      else return false;
      return true;
    });
    expect(await client.call({ n: 1 })).toMatchObject({ result: {} });
    expect(calls().map((each) => proofOf(each)[3])).toEqual(['-', 'a', 'a', 'b']);
    expect(tokens.renewals).toBe(1);
  });

  test('a refused proof is told, with the clock where that is why; no renewal', async () => {
    const tokens = await begin(kind);
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    gateCalls((_request, response) => {
      refuse(response, 'DPoP error="invalid_dpop_proof"', { date });
      return true;
    });
    const answer = JSON.stringify(await client.call({ n: 1 }));
    expect(answer).toContain('check the clock of this machine: it is 60 min ahead of the one of 127.0.0.1');
    expect(tokens.renewals).toBe(0);
    expect(calls()).toHaveLength(1);
  });

  test(
    threat('C10', 'a redirect within the origin has a proof for its own address; none leaves for another'),
    async () => {
      await begin(kind);
      const other = await startRemote('http');
      others.push(other);
      let to = '/there';
      gateCalls((_request, response, path) => {
        if (path === '/there') return false;
        response.writeHead(307, { location: to }).end();
        return true;
      });
      await client.call({ n: 1 });
      const [first, second] = calls().map((each) => proofOf(each));
      expect(second?.[2]).toBe(`${remote.url.origin}/there`);
      expect(second?.[0]).not.toBe(first?.[0]);
      to = other.url.href;
      expect(JSON.stringify(await client.call({ n: 2 }))).toContain('was not followed');
      expect(other.received).toEqual([]);
    },
  );
});

test('a Bearer token goes without a proof, whatever nonce the server hands out', async () => {
  remote = await startRemote('http');
  remote.gate = (_request, response) => {
    response.setHeader('dpop-nonce', 'n1');
    return false;
  };
  client = startClient(remote.url, { tokens: createTokens('token-1') });
  await client.initialize();
  await client.call({ n: 1 });
  for (const { headers } of remote.received) {
    expect(headers.authorization).toBe('Bearer token-1');
    expect(headers.dpop).toBeUndefined();
  }
});
