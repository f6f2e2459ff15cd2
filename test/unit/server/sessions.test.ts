import { beforeEach, describe, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import type { RpcAnswer } from '../../../src/server/mcp/messages.ts';
import { createMemorySessions, type MemorySessions } from '../../../src/server/sessions/memory.ts';
import type { Stream } from '../../../src/server/sessions/sessions.ts';
import { threat } from '../../support/threats.ts';

const minute = 60_000;
let now: number;
let sessions: MemorySessions;
beforeEach(() => {
  now = 1_000_000_000_000;
  sessions = create(true);
});

function create(sharePerUser: boolean, maxSessions = 1_000): MemorySessions {
  return createMemorySessions({
    maxSessions: () => maxSessions,
    sharePerUser,
    log: silentLog,
    now: () => now,
  });
}

interface FakeStream extends Stream {
  readonly said: string[];
  backlog: number;
}

function stream(id: string): FakeStream {
  const said: string[] = [];
  return {
    id,
    said,
    backlog: 0,
    deliver: (message) => void said.push(JSON.stringify(message)),
    unsent() {
      return this.backlog;
    },
    comment: (text) => void said.push(text),
    isOpen: () => !said.includes('[end]') && !said.includes('[cut]'),
    end: () => void said.push('[end]'),
    cut: () => void said.push('[cut]'),
  };
}

function find(id: string, user = 'u') {
  const found = sessions.find(id, user);
  return found === 'foreign' ? undefined : found;
}

function post(
  id: string,
  expiresAt: number | undefined,
  counts: boolean,
  answers: readonly RpcAnswer[] = [],
) {
  void find(id)?.take({ answers, negotiated: undefined, counts, expiresAt }, () => {});
}

describe('the life of a session', () => {
  test(threat('R18', '30 minutes without a POST end it; pings do not count as use'), () => {
    const [used, pinged] = [stream('used'), stream('pinged')];
    sessions.open(used, 'u', undefined);
    sessions.open(pinged, 'u', undefined);
    now += 29 * minute;
    post('used', undefined, true);
    post('pinged', undefined, false);
    sessions.tend();
    expect([used.said, pinged.said]).toEqual([['ping'], ['ping']]);
    now += 2 * minute;
    sessions.tend();
    expect([used.said.at(-1), pinged.said.at(-1)]).toEqual(['ping', '[end]']);
    expect(find('pinged')).toBeUndefined();
  });

  test(threat('R18', 'after 12 hours it ends, used or not'), () => {
    const one = stream('one');
    sessions.open(one, 'u', undefined);
    for (let i = 0; i < 12 * 6; i++) {
      expect(one.isOpen()).toBe(true);
      now += 10 * minute;
      post('one', undefined, true);
      sessions.tend();
    }
    expect(one.said.at(-1)).toBe('[end]');
  });

  test(threat('R18', '60 s after the latest expiry seen it ends; an older token does not shorten it'), () => {
    const one = stream('one');
    const seconds = now / 1000;
    sessions.open(one, 'u', seconds + 100);
    post('one', seconds + 300, true);
    post('one', seconds + 50, true);
    now += 359_000;
    sessions.tend();
    expect(one.isOpen()).toBe(true);
    now += 1_000;
    sessions.tend();
    expect(one.isOpen()).toBe(false);
  });

  test('an expiry that comes to be known later counts from then on', () => {
    const one = stream('one');
    sessions.open(one, 'u', undefined);
    post('one', now / 1000 + 10, true);
    now += 71_000;
    sessions.tend();
    expect(one.said.at(-1)).toBe('[end]');
  });

  test(
    threat('R17', 'more than 1 MB that the client has not taken cuts the stream, at an answer or at a ping'),
    () => {
      const [a, b, c] = [stream('a'), stream('b'), stream('c')];
      for (const one of [a, b, c]) sessions.open(one, 'u', undefined);
      a.backlog = b.backlog = 1024 * 1024 + 1;
      c.backlog = 1024 * 1024;
      post('a', undefined, true, [{ jsonrpc: '2.0', id: 1, result: {} }]);
      expect(a.said.at(-1)).toBe('[cut]');
      sessions.tend();
      expect(b.said).toEqual(['[cut]']);
      expect(c.said).toEqual(['ping']);
      expect(sessions.size()).toBe(1);
    },
  );

  test('a stream that has gone without a word is forgotten', () => {
    const one = stream('one');
    sessions.open(one, 'u', undefined);
    one.said.push('[cut]');
    sessions.tend();
    expect(sessions.size()).toBe(0);
  });
});

describe('how many', () => {
  test(threat('R18', '50 a user: the one idle longest makes room, and no other user suffers'), () => {
    const others = stream('other');
    sessions.open(others, 'other', undefined);
    const own = Array.from({ length: 50 }, (_, i) => stream(`s${i}`));
    for (const one of own) {
      now += 1;
      sessions.open(one, 'u', undefined);
    }
    now += 1;
    post('s0', undefined, true);
    expect(sessions.open(stream('s50'), 'u', undefined)).toBe(true);
    expect(own.filter((one) => !one.isOpen()).map(({ id }) => id)).toEqual(['s1']);
    expect(others.isOpen()).toBe(true);
    expect(sessions.size()).toBe(51);
  });

  test(threat('R18', 'a full server refuses; at their own limit users make room for themselves'), () => {
    sessions = create(true, 50);
    for (let i = 0; i < 50; i++) expect(sessions.open(stream(`s${i}`), 'u', undefined)).toBe(true);
    expect(sessions.open(stream('x'), 'other', undefined)).toBe(false);
    expect(sessions.open(stream('y'), 'u', undefined)).toBe(true);
    sessions.closed('y');
    expect(sessions.open(stream('z'), 'other', undefined)).toBe(true);
  });

  test('without authentication nobody has a share', () => {
    sessions = create(false);
    for (let i = 0; i < 200; i++) expect(sessions.open(stream(`s${i}`), '', undefined)).toBe(true);
    expect(sessions.size()).toBe(200);
  });
});

test('all can be ended, each with its last word', async () => {
  const all = Array.from({ length: 250 }, (_, i) => stream(`s${i}`));
  for (const [i, one] of all.entries()) sessions.open(one, `u${i}`, undefined);
  await sessions.endAll();
  expect(all.every((one) => one.said.at(-1) === '[end]')).toBe(true);
  expect(sessions.size()).toBe(0);
});

test('the end comes in time, also where other replicas cannot be told', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  try {
    sessions = createMemorySessions({
      maxSessions: () => 1_000,
      sharePerUser: true,
      leaving: () => new Promise(() => {}),
      log: silentLog,
      now: () => now,
    });
    const all = Array.from({ length: 450 }, (_, i) => stream(`s${i}`));
    for (const [i, one] of all.entries()) sessions.open(one, `u${i}`, undefined);
    const ended = sessions.endAll();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(sessions.size()).toBe(450);
    await vi.advanceTimersByTimeAsync(1);
    await ended;
    expect(all.every((one) => one.said.at(-1) === '[end]')).toBe(true);
  } finally {
    vi.useRealTimers();
  }
});

test('each end is told once, with its reason and the time it was open', async () => {
  const told: string[] = [];
  sessions = createMemorySessions({
    maxSessions: () => 1_000,
    sharePerUser: true,
    observe: (event) => {
      if (event.name === 'session_closed') told.push(`${event.reason} ${event.milliseconds}`);
    },
    log: silentLog,
    now: () => now,
  });
  for (const id of ['a', 'b', 'c', 'd']) sessions.open(stream(id), 'u', id === 'c' ? now / 1000 : undefined);
  now += 60_000;
  expect(sessions.oldestMs()).toBe(60_000);
  sessions.closed('a');
  sessions.closed('a');
  sessions.tend();
  now += 29 * minute;
  post('d', undefined, true);
  sessions.tend();
  await sessions.endAll();
  expect(told).toEqual(['client 60000', 'token_expired 60000', 'idle 1800000', 'drain 1800000']);
  expect(sessions.oldestMs()).toBe(0);
});
