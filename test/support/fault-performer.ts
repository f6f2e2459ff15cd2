import { type Asked, answerLine, callResult, notice, type Orders, plainAnswer } from './fault-tools.ts';

/** The way that the answer to one request takes. */
export interface Way {
  /** One message. */
  write(text: string): void;
  /** The beginning of an event, and the end of the stream. */
  half(text: string): void;
  /** Nothing more will come. */
  done(): void;
}

/** Does what a request asks for, in the way that its arguments order. Each call's number is counted. */
export function createPerformer(
  effects: Map<number, number>,
  effect: (n: number) => void = () => {},
): (asked: Asked, way: Way) => void {
  let heldBack: (() => void) | undefined;

  function call(asked: Asked, orders: Orders, way: Way): void {
    const { n = -1, progressMs, how, ms } = orders;
    effects.set(n, (effects.get(n) ?? 0) + 1);
    effect(n);
    if (how === 'silent') return;
    const progressToken = asked.params?._meta?.progressToken;
    let progress = 0;
    const inform = () => {
      progress++;
      way.write(notice('notifications/progress', { progressToken, progress }));
    };
    const timer = progressMs === undefined ? undefined : setInterval(inform, progressMs);
    const answer = () => {
      clearInterval(timer);
      answerAsOrdered(asked, orders, way);
    };
    if (ms) setTimeout(answer, ms);
    else answer();
  }

  function answerAsOrdered(asked: Asked, orders: Orders, way: Way): void {
    const text = answerLine(asked.id, callResult(orders));
    const garbage = `{"jsonrpc":"2.0","id":${JSON.stringify(asked.id)},"result":{ this is no JSON`;
    const { how, cutAt, burst = 0 } = orders;
    if (how === 'half') {
      way.half(`event: message\ndata: ${text}\n\n`.slice(0, cutAt ?? 40));
      return;
    }
    if (how === 'garbage-only') {
      way.write(garbage);
      way.done();
      return;
    }
    const earlier = heldBack;
    const send = () => {
      way.write(text);
      if (how === 'twice') way.write(text);
      way.done();
    };
    if (how === 'reorder' && !earlier) {
      heldBack = send;
      return;
    }
    if (how === 'garbage') way.write('{"jsonrpc":"2.0", this is no JSON');
    if (how === 'stranger') way.write(answerLine('nobody-asked', {}));
    for (let data = 0; data < burst; data++) {
      way.write(notice('notifications/message', { level: 'info', data }));
    }
    send();
    if (how !== 'reorder') return;
    heldBack = undefined;
    earlier?.();
  }

  return (asked, way) => {
    if (asked.method === 'tools/call') return void call(asked, asked.params?.arguments ?? {}, way);
    const result = plainAnswer(asked);
    const error = { code: -32601, message: 'Method not found' };
    way.write(
      result ? answerLine(asked.id, result) : JSON.stringify({ jsonrpc: '2.0', id: asked.id, error }),
    );
    way.done();
  };
}
