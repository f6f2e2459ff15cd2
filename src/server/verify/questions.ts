import { AppError } from '../../lib/errors.ts';
import { type Answer, budgets } from '../../lib/http.ts';
import { describeNetworkError, networkHint } from '../../lib/network-error.ts';
import type { ProviderReader, ProviderRequest } from '../provider/reader.ts';
import type { Way } from './events.ts';

const maxInFlight = 32;
const failuresToOpen = 5;
/** With the circuit open, one question in this time finds out whether the provider is back. Milliseconds. */
const probeEveryMs = 1_000;

/** Sends a request. Throws for an answer that says nothing of a token. */
export type Send = (request: ProviderRequest) => Promise<Answer>;

/** The way to ask the authorization server about a token: bounded in time, size, number and stubbornness. */
export interface Questions {
  /**
   * Asks one question: `question` sends its request, or a few of them, and reads the answer. Throws AppError
   * `issuer_unreachable` for everything that is no verdict: network, timeout, 429, 5xx, redirects, what `question`
   * throws, too many questions, an open circuit.
   */
  ask<T>(endpoint: Exclude<Way, 'jwt'>, url: URL, question: (send: Send) => Promise<T>): Promise<T>;
}

export function createQuestions(reader: ProviderReader, now: () => number): Questions {
  let inFlight = 0;
  const waiting: (() => void)[] = [];
  let failures = 0;
  let lastProbe = 0;

  function takeTurn(url: URL): Promise<void> {
    if (inFlight < maxInFlight) {
      inFlight++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const turn = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(unanswered(url, 'has too many questions to answer already'));
      }, budgets.providerTotalMs);
      waiting.push(turn);
    });
  }

  /** Hands the place on to whoever waits longest. */
  function giveTurn(): void {
    const next = waiting.shift();
    if (next) next();
    else inFlight--;
  }

  function assertClosed(url: URL): void {
    if (failures < failuresToOpen) return;
    if (now() - lastProbe < probeEveryMs) throw unanswered(url, 'has failed several times in a row');
    lastProbe = now();
  }

  return {
    async ask(endpoint, url, question) {
      assertClosed(url);
      await takeTurn(url);
      let answered = false;
      try {
        const value = await question(async (request) => {
          const answer = accountable(url, await reader.read(endpoint, url, request));
          answered = isAboutToken(answer.status);
          return answer;
        });
        failures = 0;
        return value;
      } catch (error) {
        // Whoever presents tokens that are answered oddly must not keep the others' from being asked about.
        if (!answered && ++failures === failuresToOpen) lastProbe = now();
        if (error instanceof AppError && error.code === 'issuer_unreachable') throw error;
        throw unanswered(url, `gave no answer: ${describeNetworkError(error, url)}`, error);
      } finally {
        giveTurn();
      }
    },
  };
}

/** Of a request that is too large: its token is, and none that the provider has issued. */
const tooLarge = [413, 414, 431];

/** An answer that says something about the token, or about the client that asks. */
function accountable(url: URL, answer: Answer): Answer {
  const { status } = answer;
  if ([200, 400, 401, 403, ...tooLarge].includes(status)) return answer;
  throw unanswered(url, `answered ${status}`);
}

/** 401 and 403 may be about the client: then they are the same for every token. */
const isAboutToken = (status: number) => [200, 400, ...tooLarge].includes(status);

export function unanswered(url: URL, what: string, cause?: unknown): AppError {
  return new AppError('issuer_unreachable', `the authorization server at ${url.href} ${what}`, {
    cause,
    hint: networkHint(cause),
  });
}
