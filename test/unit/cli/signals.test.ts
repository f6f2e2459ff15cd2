import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { listenForSignals } from '../../../src/cli/signals.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A process that notes with which code it was ended. */
function createProcess() {
  const exits: number[] = [];
  const target = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
  return { target, exits, signals: listenForSignals(target as unknown as NodeJS.Process) };
}

describe.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGBREAK', 130],
] as const)('%s', (signal, code) => {
  test(`aborts, and ends with ${code} by itself when the command takes too long`, () => {
    const { target, exits, signals } = createProcess();
    expect(signals.exitCode()).toBeUndefined();
    target.emit(signal);
    expect(signals.aborted.aborted).toBe(true);
    expect(signals.exitCode()).toBe(code);
    expect(exits).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(exits).toEqual([code]);
  });

  test('a second one ends it at once', () => {
    const { target, exits } = createProcess();
    target.emit(signal);
    target.emit(signal);
    expect(exits).toEqual([code]);
  });
});

test('a command that took them over ends by itself; what it outlives ends it at no time', () => {
  const { target, exits, signals } = createProcess();
  const seen: string[] = [];
  signals.takeOver((signal) => seen.push(signal), ['SIGHUP']);
  const all = ['SIGHUP', 'SIGHUP', 'SIGTERM', 'SIGHUP'];
  for (const signal of all) target.emit(signal);
  vi.advanceTimersByTime(60_000);
  expect([seen, exits, signals.aborted.aborted]).toEqual([all, [], false]);
  target.emit('SIGINT');
  expect(exits).toEqual([130]);
});
