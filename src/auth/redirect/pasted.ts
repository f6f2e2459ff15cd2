import type { Log } from '../../lib/log.ts';
import type { AuthorizationRequest } from '../request.ts';
import { answersState } from './redirect.ts';

const longestPaste = 16 * 1024;

/** Redirect URLs that a person pastes (`--no-browser`), line by line. */
export interface PastedRedirects {
  /** Resolves with the next pasted redirect that answers `request`; else never. */
  next(request: AuthorizationRequest): Promise<URLSearchParams>;
  /** Reads no further. */
  stop(): void;
}

/**
 * Reads pasted lines with the same checks as on loopback; nothing of a line is shown again. The end of the lines
 * ends nothing.
 */
export function readPasted(lines: AsyncIterable<string> | undefined, log: Log): PastedRedirects {
  const iterator = lines?.[Symbol.asyncIterator]();
  let stopped = false;
  let reading = false;
  let wanted: { request: AuthorizationRequest; found: (parameters: URLSearchParams) => void } | undefined;

  async function read(): Promise<void> {
    while (iterator && !stopped) {
      const { done, value } = await iterator.next();
      if (done || stopped) return;
      const parameters = wanted && parametersOf(value, wanted.request.redirectUri);
      if (wanted && parameters && answersState(parameters, wanted.request.state)) wanted.found(parameters);
      else if (value.trim()) {
        log.warn('that is not the address at which this sign-in ends; paste it once more');
      }
    }
  }

  return {
    next(request) {
      const redirect = new Promise<URLSearchParams>((found) => {
        wanted = { request, found };
      });
      if (!reading) read().catch((error: unknown) => log.debug('no more lines', { reason: error }));
      reading = true;
      return redirect;
    },
    stop() {
      stopped = true;
      void iterator?.return?.()?.catch(() => {});
    },
  };
}

function parametersOf(line: string, redirectUri: string): URLSearchParams | undefined {
  if (line.length > longestPaste) return undefined;
  const word = line.trim().split(/\s/, 1)[0] ?? '';
  if (!URL.canParse(word)) return undefined;
  const [pasted, expected] = [new URL(word), new URL(redirectUri)];
  const same = pasted.origin === expected.origin && pasted.pathname === expected.pathname;
  return same ? pasted.searchParams : undefined;
}
