import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorLine, failureLine, rpcCodeOf } from '../../../src/bridge/errors.ts';
import { cancelledId, memberSource, oneLine, readMessages, withId } from '../../../src/bridge/message.ts';
import { idOfFragment, isAnswerFragment } from '../../../src/bridge/oversize.ts';
import { createBackoff } from '../../../src/bridge/remote/backoff.ts';
import {
  createEventLimit,
  createEventParser,
  oversized,
  type StreamEvent,
} from '../../../src/bridge/remote/event-stream.ts';
import type { Failure } from '../../../src/bridge/remote/failure.ts';
import { retryAfterMs } from '../../../src/bridge/remote/retry-after.ts';
import { createRequests, type NewRequest } from '../../../src/bridge/requests.ts';
import { nextStep } from '../../../src/bridge/resend.ts';
import { AppError, errorCodes } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';

describe('messages', () => {
  test.each([
    ['{"id":1,"method":"m"}', 'id', '1'],
    ['{"method":"m","params":{"id":2,"x":["}",{"id":3}]},"id":"4"}', 'id', '"4"'],
    [' {\n"a" : "\\"id\\":9" , "id"\t: -1.50e3 }', 'id', '-1.50e3'],
    ['{"id":1,"id":2}', 'id', '2'],
    ['{"\\u0069d":7}', 'id', '7'],
    ['{"a":[1,2,{"b":"]"}],"id":null}', 'id', 'null'],
    ['{"result":{"a":"\\\\"},"id":1}', 'result', '{"a":"\\\\"}'],
    ['{}', 'id', undefined],
  ])('%s has %s %s', (text, name, source) => {
    expect(memberSource(text, name)).toBe(source);
  });

  test('the source of a member is what JSON.parse reads, for every object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(4), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        for (const [name, value] of Object.entries(JSON.parse(text) as object)) {
          expect(JSON.parse(memberSource(text, name) ?? '')).toEqual(value);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('an id is replaced, and nothing else', () => {
    expect(withId('{"result":{"id":1},"id": 1 ,"x":2}', '"z"')).toBe('{"result":{"id":1},"id": "z" ,"x":2}');
  });

  test('the id that a cancellation names keeps its digits', () => {
    const text = '{"method":"notifications/cancelled","params":{"requestId":12345678901234567890}}';
    expect(cancelledId(JSON.parse(text), text)).toBe('12345678901234567890');
  });

  test.each([
    [400_000, 'response'],
    [2_000_000, 'unreadable'],
  ])('a message nested %i deep does no harm: %s', (depth, kind) => {
    const text = `{"jsonrpc":"2.0","id":1,"result":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(readMessages(text)[0]?.kind).toBe(kind);
    expect(memberSource(text, 'id')).toBe('1');
  });

  test('line ends become spaces, and only where there are any', () => {
    expect(oneLine('{\r\n "a": 1\n}')).toBe('{  "a": 1 }');
    expect(oneLine('{"a":"\u2028"}')).toBe('{"a":"\u2028"}');
  });
});

describe('messages over the limit', () => {
  test.each([
    ['{"jsonrpc":"2.0","id":7,"result":{"x', '', '7'],
    ['{"id":"a\\"b","method":"m","params"', '', '"a\\"b"'],
    ['{"result":{"id":3,', 'xxx"},"jsonrpc":"2.0","id":9}', '9'],
    ['{"result":{"id":3,', 'xxx"},"id":"q","jsonrpc":"2.0"} ', '"q"'],
    ['{"result":{"id":3,', 'xxx"}}', undefined],
  ])('%s … %s is of request %s', (head, tail, id) => {
    expect(idOfFragment({ head, tail })).toBe(id);
  });

  test('answers and requests are told apart', () => {
    expect(isAnswerFragment({ head: '{"id":1,"result":{"method":"x"', tail: '' })).toBe(true);
    expect(isAnswerFragment({ head: '{"id":1,"method":"m","params":{"result":', tail: '' })).toBe(false);
    expect(isAnswerFragment({ head: '{"params":{', tail: '"},"method":"m","id":1}' })).toBe(false);
  });
});

describe('event streams', () => {
  const parse = (chunks: readonly string[]) => {
    const events: StreamEvent[] = [];
    const parser = createEventParser((event) => events.push(event));
    for (const chunk of chunks) parser.feed(chunk);
    return { events, lastId: parser.lastId, retryMs: parser.retryMs };
  };

  test.each([
    ['LF', '\n'],
    ['CRLF', '\r\n'],
    ['CR', '\r'],
  ])('are the same however they are cut: %s', (_, end) => {
    const text = [
      ': hello',
      'id: 1',
      'event: endpoint',
      'data: /m',
      '',
      'retry: 50',
      'data:a',
      'data: b',
      '',
      'data',
      '',
      'data: cut',
      '',
    ].join(end);
    const whole = parse([text]);
    expect(whole.events).toEqual([
      { type: 'endpoint', data: '/m' },
      { type: 'message', data: 'a\nb' },
      { type: 'message', data: '' },
    ]);
    expect(whole).toMatchObject({ lastId: '1', retryMs: 50 });
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        expect(parse(at.slice(1).map((to, i) => text.slice(at[i], to)))).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  test(
    threat('C14', 'an event over the limit is marked with its ends, and the next one comes through'),
    () => {
      const message = (size: number, id: number) => `data: {"result":"${'x'.repeat(size)}","id":${id}}\n\n`;
      const bytes = Buffer.from(message(10, 1) + message(5000, 2) + message(20, 3));
      for (const step of [7, 64, 1000]) {
        const limit = createEventLimit(500);
        const seen: unknown[] = [];
        const parser = createEventParser(({ type, data }) => {
          const fragment = oversized(type, data, 500);
          seen.push(
            fragment ? `too large: ${idOfFragment(fragment)}` : (JSON.parse(data) as { id: number }).id,
          );
        });
        for (let at = 0; at < bytes.length; at += step)
          parser.feed(limit(bytes.subarray(at, at + step)).toString());
        expect(seen).toEqual([1, 'too large: 2', 3]);
      }
    },
  );

  test(threat('C14', 'a CRLF that the chunks cut in two is no end of an event'), () => {
    const limit = createEventLimit(10_000);
    let passed = 0;
    for (let i = 0; i < 1000; i++) {
      for (const piece of [`data: ${'x'.repeat(1000)}\r`, '\n']) passed += limit(Buffer.from(piece)).length;
    }
    expect(passed).toBeLessThan(20_000);
  });

  test(threat('C14', 'what is kept of an endless event is bounded'), () => {
    const limit = createEventLimit(100_000);
    let passed = 0;
    for (let i = 0; i < 1000; i++) passed += limit(Buffer.alloc(65_536, 'x')).length;
    expect(passed).toBeLessThan(300_000);
  });
});

describe('headers', () => {
  test.each([
    [undefined, undefined],
    ['3', 3000],
    ['0', 0],
    [' 7 ', 7000],
    ['-1', undefined],
    ['soon', undefined],
    ['1e3', undefined],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 9000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ])('Retry-After %s is %s ms', (header, ms) => {
    expect(retryAfterMs(header, 1000)).toBe(ms);
  });
});

test('the back-off: at once, then 0.2 s doubling to 10 s, with jitter', () => {
  const backoff = createBackoff(() => 1);
  expect(Array.from({ length: 9 }, () => backoff.next())).toEqual([
    0, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000,
  ]);
  backoff.reset();
  expect(backoff.next()).toBe(0);
  const low = createBackoff(() => 0);
  low.next();
  expect(low.next()).toBe(150);
});

describe('whether a request is sent again', () => {
  const failure = (reason: Failure['reason'], more: Partial<Failure> = {}): Failure => ({
    reason,
    error: new AppError(reason === 'auth' ? 'not_signed_in' : 'remote_error', 'it failed'),
    ...more,
  });
  test.each([
    ['unreachable', failure('unreachable'), 'reconnect'],
    ['session', failure('session'), 'reconnect'],
    ['signed out', failure('auth'), 'sign_in'],
    ['busy for 10 s', failure('busy', { retryAfterMs: 10_000 }), 'wait'],
    ['busy for 11 s', failure('busy', { retryAfterMs: 11_000 }), 'fail'],
    [
      'auth for another reason',
      { ...failure('auth'), error: new AppError('keychain_locked', 'locked') },
      'fail',
    ],
    ['lost', failure('lost'), 'fail'],
    ['forbidden', failure('forbidden'), 'fail'],
    ['a status', failure('status', { status: 500 }), 'fail'],
    ['too large', failure('too_large'), 'fail'],
    ['the wrong transport', failure('wrong_transport'), 'fail'],
  ])('%s', (_, given, step) => {
    expect(nextStep(given, { tries: 1, signIns: 0, waitedMs: 0, repeatable: false }).do).toBe(step);
  });

  test.each([
    ['lost', failure('lost'), 'repeat'],
    ['500', failure('status', { status: 500 }), 'repeat'],
    ['429 without Retry-After', failure('status', { status: 429 }), 'repeat'],
    ['a refusal', failure('status', { status: 400 }), 'fail'],
    ['forbidden', failure('forbidden'), 'fail'],
  ])('what may run twice, after %s', (_, given, step) => {
    expect(nextStep(given, { tries: 1, signIns: 0, waitedMs: 0, repeatable: true }).do).toBe(step);
  });

  test('never more than four times, never longer than 10 s in all', () => {
    expect(nextStep(failure('unreachable'), { tries: 4, signIns: 0, waitedMs: 0, repeatable: true }).do).toBe(
      'fail',
    );
    expect(
      nextStep(failure('busy', { retryAfterMs: 6000 }), {
        tries: 2,
        signIns: 0,
        waitedMs: 6000,
        repeatable: true,
      }).do,
    ).toBe('fail');
  });
});

describe('the table of requests', () => {
  const open = (requests: ReturnType<typeof createRequests>, id: string, more: Partial<NewRequest> = {}) => {
    const answers: string[] = [];
    const entry = requests.open({
      id,
      method: 'm',
      json: {},
      text: '',
      answerTo: (line) => answers.push(line),
      ...more,
    });
    return { entry, answers };
  };

  test('however often it is answered, its asker hears once', () => {
    const requests = createRequests(() => 0);
    const { entry, answers } = open(requests, '1');
    if (!entry) throw new Error('refused');
    requests.answer(entry, 'ours');
    expect(requests.settle('1', {}, 'theirs')).toBe(true);
    requests.finish(entry, 'too late');
    expect(requests.settle('1', {}, 'again')).toBe(false);
    expect(answers).toEqual(['ours']);
  });

  test('the remote is heard even when the asker has its answer', () => {
    const requests = createRequests(() => 0);
    const heard: string[] = [];
    const { entry } = open(requests, '1', { observe: (_, line) => heard.push(line) });
    if (entry) requests.answer(entry, 'ours');
    requests.settle('1', {}, 'theirs');
    expect(heard).toEqual(['theirs']);
  });

  test('cancelled: nobody hears anything', () => {
    const requests = createRequests(() => 0);
    const { answers } = open(requests, '1');
    expect(requests.cancel('1')?.done).toBe(true);
    requests.settle('1', {}, 'late');
    expect(answers).toEqual([]);
    expect(requests.cancel('1')).toBeUndefined();
  });

  test('any order of events gives at most one answer, and an empty table at the end', () => {
    const event = fc.constantFrom('answer', 'settle', 'finish', 'cancel');
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), (events) => {
        const requests = createRequests(() => 0);
        const { entry, answers } = open(requests, '1');
        if (!entry) throw new Error('refused');
        for (const each of [...events, 'finish']) {
          if (each === 'answer') requests.answer(entry, each);
          else if (each === 'settle') requests.settle('1', {}, each);
          else if (each === 'finish') requests.finish(entry, each);
          else requests.cancel('1');
        }
        expect(answers.length).toBe(events[0] === 'cancel' ? 0 : 1);
        expect(requests.all()).toEqual([]);
      }),
    );
  });

  test('idle is when nobody waits, whatever the remote still owes', async () => {
    const requests = createRequests(() => 0);
    const { entry } = open(requests, '1');
    let idle = false;
    const waiting = requests.idle().then(() => {
      idle = true;
    });
    await Promise.resolve();
    expect(idle).toBe(false);
    if (entry) requests.answer(entry, 'ours');
    await waiting;
  });
});

describe('errors', () => {
  test.each(errorCodes.map((code) => [code]))(
    threat('C17', '%s has a JSON-RPC code, a sentence and the next step'),
    (code) => {
      const line = JSON.parse(
        errorLine('1', new AppError(code, 'what happened\u001b[31m', { hint: 'type this' })),
      );
      expect(rpcCodeOf(code)).toBeLessThan(-31_999);
      expect(line.error.data.code).toBe(code);
      expect(JSON.stringify(line)).not.toContain('\\u001b');
      if (code !== 'internal') expect(line.error.message).toBe('what happened [31m. Next: type this');
    },
  );

  test('a call that surely did not run is a result for the model; one that may have run is an error', () => {
    const line = (code: (typeof errorCodes)[number], method = 'tools/call') =>
      JSON.parse(failureLine('"x"', method, new AppError(code, 'm')));
    expect(line('server_unreachable').result.isError).toBe(true);
    expect(line('not_signed_in').result.isError).toBe(true);
    expect(line('remote_error').error.code).toBe(-32_001);
    expect(line('timeout').error.code).toBe(-32_001);
    expect(line('not_signed_in', 'resources/read').error.code).toBe(-32_002);
  });

  test('what was never meant to be seen is not shown', () => {
    expect(errorLine('1', new Error('secret detail at /home/me'))).not.toContain('secret');
  });
});
