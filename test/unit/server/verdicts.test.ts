import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/lib/errors.ts';
import { createLog } from '../../../src/lib/log.ts';
import type { ServerObserver } from '../../../src/server/events.ts';
import { createVerdictCache } from '../../../src/server/verify/cache.ts';
import type { VerificationEvent } from '../../../src/server/verify/events.ts';
import type { Ruling } from '../../../src/server/verify/policy.ts';
import { threat } from '../../support/threats.ts';
import { json } from './support/provider.ts';
import { call, openWorld } from './support/world.ts';

/** The cache alone, with a clock and a provider of the test's own. Times in seconds. */
let now: number;
let rulings: (() => Promise<Ruling>)[];
let asked: string[];
let events: VerificationEvent[];
let logged: string[];
let cache: ReturnType<typeof createVerdictCache>;
beforeEach(() => {
  now = 1_000_000;
  rulings = [];
  asked = [];
  events = [];
  logged = [];
  cache = open();
});

function open(staleMs = 300_000) {
  return createVerdictCache({
    rule: (token) => {
      asked.push(token);
      return rulings.shift()?.() ?? unreachable();
    },
    staleMs,
    log: createLog({ level: 'info', write: (line) => void logged.push(line) }),
    now: () => now * 1000,
    observe: (event) => void events.push(event),
  });
}

const unreachable = () => Promise.reject(new AppError('issuer_unreachable', 'it is down'));
const accepted =
  (expiresAt?: number, keepMs = 60_000): (() => Promise<Ruling>) =>
  async () => ({
    outcome: 'accepted',
    identity: { issuer: 'i', subject: 's', clientId: undefined, scopes: [], expiresAt, claims: {} },
    keepMs,
  });
const refused: () => Promise<Ruling> = async () => ({ outcome: 'rejected', reason: 'No' });
const outcome = async (token = 't') => (await cache.check(token)).outcome;
const results = () => events.map((event) => (event.name === 'verdict_cache' ? event.result : event.name));

describe('an accepted token', () => {
  test('is looked up until its time, then asked about again', async () => {
    rulings = [accepted(), accepted()];
    for (const at of [0, 59, 60]) {
      now = 1_000_000 + at;
      expect(await outcome()).toBe('accepted');
    }
    expect(asked).toHaveLength(2);
    expect(results()).toEqual(['miss', 'hit', 'miss']);
  });

  test(threat('R9', 'is never served beyond its own expiry and the skew of clocks'), async () => {
    rulings = [accepted(1_000_010)];
    expect(await outcome()).toBe('accepted');
    now = 1_000_039;
    expect(await outcome()).toBe('accepted');
    now = 1_000_040;
    expect(await outcome()).toBe('rejected');
    expect(asked).toHaveLength(1);
  });
});

describe('while the provider fails', () => {
  test(threat('R9', 'a verdict serves for --stale more, each time counted, said once a minute'), async () => {
    rulings = [accepted()];
    expect(await outcome()).toBe('accepted');
    for (const at of [60, 61, 62, 100, 200, 359]) {
      now = 1_000_000 + at;
      expect(await outcome()).toBe('accepted');
    }
    now = 1_000_360;
    await expect(outcome()).rejects.toMatchObject({ code: 'issuer_unreachable' });
    expect(results()).toEqual([
      'miss',
      ...['miss', 'stale', 'stale', 'stale'],
      ...['miss', 'stale', 'miss', 'stale', 'miss', 'stale'],
      'miss',
    ]);
    expect(logged).toHaveLength(3);
    for (const line of logged) expect(line).toContain('served while the authorization server fails');
  });

  test(threat('R9', 'no verdict serves past the expiry of its token, not even by the skew'), async () => {
    rulings = [accepted(1_000_062)];
    expect(await outcome()).toBe('accepted');
    now = 1_000_061;
    expect(await outcome()).toBe('accepted');
    now = 1_000_062;
    await expect(outcome()).rejects.toMatchObject({ code: 'issuer_unreachable' });
    expect(results().filter((one) => one === 'stale')).toHaveLength(1);
  });

  test('with --stale 0 nothing serves', async () => {
    cache = open(0);
    rulings = [accepted()];
    expect(await outcome()).toBe('accepted');
    now += 60;
    await expect(outcome()).rejects.toMatchObject({ code: 'issuer_unreachable' });
  });

  test('a no that came before it failed stays a no', async () => {
    rulings = [accepted(), refused];
    expect(await outcome()).toBe('accepted');
    now += 60;
    expect(await outcome()).toBe('rejected');
    now += 6;
    await expect(outcome()).rejects.toMatchObject({ code: 'issuer_unreachable' });
  });

  test('metadata that turned out unfit is no outage: nothing serves', async () => {
    rulings = [accepted(), () => Promise.reject(new AppError('metadata_invalid', 'another issuer'))];
    expect(await outcome()).toBe('accepted');
    now += 60;
    await expect(outcome()).rejects.toMatchObject({ code: 'metadata_invalid' });
  });
});

describe('many tokens', () => {
  test(threat('R9', 'one question for all who ask at once; a refusal is kept for 5 s'), async () => {
    rulings = [refused, refused];
    expect(new Set(await Promise.all(Array.from({ length: 40 }, () => outcome())))).toEqual(
      new Set(['rejected']),
    );
    expect(asked).toHaveLength(1);
    expect(results()).toEqual(['miss', ...Array.from({ length: 39 }, () => 'joined')]);
    now += 4;
    expect(await outcome()).toBe('rejected');
    expect(results().at(-1)).toBe('negative');
    now += 1;
    expect(await outcome()).toBe('rejected');
    expect(asked).toHaveLength(2);
  });

  test(threat('R9', '3,000 made-up tokens push no good one out, and only 1,000 are remembered'), async () => {
    rulings = [
      accepted(undefined, 1_000_000),
      ...Array.from({ length: 3_000 }, () => refused),
      refused,
      refused,
    ];
    expect(await outcome('good')).toBe('accepted');
    for (let i = 0; i < 3_000; i++) expect(await outcome(`bad${i}`)).toBe('rejected');
    expect(await outcome('good')).toBe('accepted');
    expect(asked).toHaveLength(3_001);
    await outcome('bad2999');
    expect(asked).toHaveLength(3_001);
    await outcome('bad0');
    expect(asked).toHaveLength(3_002);
  });

  test(threat('R9', '10,000 good ones are remembered, the one not used for longest goes first'), async () => {
    rulings = Array.from({ length: 10_002 }, () => accepted(undefined, 1_000_000));
    for (let i = 0; i < 10_001; i++) await outcome(`t${i}`);
    await outcome('t1');
    expect(asked).toHaveLength(10_001);
    await outcome('t0');
    expect(asked).toHaveLength(10_002);
  });
});

describe('what an observer is told', () => {
  let seen: VerificationEvent[] = [];
  afterEach(() => {
    seen = [];
  });
  const observe: ServerObserver = (event) => {
    if (event.name !== 'request' && event.name !== 'session_closed') seen.push(event);
  };
  const named = <N extends VerificationEvent['name']>(name: N) =>
    seen.filter((event): event is Extract<VerificationEvent, { name: N }> => event.name === name);

  test('each request to the provider, each verification with its way, each refusal by policy; no token', async () => {
    const world = await openWorld({ observe, settings: { allow: [{ claim: 'team', values: ['red'] }] } });
    try {
      const { issuer } = world.provider;
      const mint = (claims: object) =>
        world.provider.jwt({ claims: { aud: `${world.origin}/mcp`, ...claims } });
      const tokens = [
        await mint({ team: 'red' }),
        await mint({}),
        await mint({ scope: '' }),
        await mint({ aud: 'urn:x' }),
        world.provider.opaque('olga', { team: 'red' }),
      ];
      for (const token of tokens) await world.rpc(token, call());
      world.provider.instead.set('userinfo', (_req, res) => json(res, 500, {}));
      await world.rpc(world.provider.opaque('new'), call());
      world.provider.instead.set('userinfo', (req) => req.socket.destroy());
      await world.rpc(world.provider.opaque('newer'), call());

      expect(named('token_verified').map(({ way, outcome: found }) => [way, found])).toEqual([
        ['jwt', 'accepted'],
        ['jwt', 'accepted'],
        ['jwt', 'accepted'],
        ['jwt', 'rejected'],
        ['userinfo', 'accepted'],
        ['userinfo', 'unavailable'],
        ['userinfo', 'unavailable'],
      ]);
      expect(named('policy_refused').map(({ reason }) => reason)).toEqual([
        'access_denied',
        'insufficient_scope',
      ]);
      const requests = named('provider_request').map(({ endpoint, status }) => [endpoint, status]);
      expect(requests).toContainEqual(['metadata', 200]);
      expect(requests).toContainEqual(['jwks', 200]);
      expect(requests.filter(([endpoint]) => endpoint === 'userinfo')).toEqual([
        ['userinfo', 200],
        ['userinfo', 500],
        ['userinfo', undefined],
      ]);
      for (const event of [...named('provider_request'), ...named('token_verified')]) {
        expect(event.issuer).toBe(issuer);
      }
      for (const { milliseconds } of named('provider_request')) expect(milliseconds).toBeGreaterThan(0);
      const all = JSON.stringify(seen);
      for (const token of tokens) expect(all).not.toContain(token);
      expect(all).not.toContain('alice');
    } finally {
      await world.close();
    }
  });
});
