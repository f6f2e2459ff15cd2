import type { Log } from '../../lib/log.ts';
import type { AuthorizationRequest } from '../authorization-request.ts';
import { redirectIn } from './redirect-in-text.ts';

const longestPaste = 16 * 1024;

/** Redirect URLs that a person pastes (`--no-browser`). */
export interface PastedRedirects {
  /** Resolves with the next pasted redirect that answers `request`; else never. */
  next(request: AuthorizationRequest): Promise<URLSearchParams>;
  /** Reads no further. */
  stop(): void;
}

/**
 * Reads pasted texts with the same checks as on loopback; nothing of them is shown again. Their end ends nothing.
 */
export function readPasted(texts: AsyncIterable<string> | undefined, log: Log): PastedRedirects {
  const iterator = texts?.[Symbol.asyncIterator]();
  let stopped = false;
  let reading = false;
  let wanted: { request: AuthorizationRequest; found: (parameters: URLSearchParams) => void } | undefined;

  async function read(): Promise<void> {
    while (iterator && !stopped) {
      const { done, value } = await iterator.next();
      if (done || stopped) return;
      if (!wanted || !value.trim()) continue;
      const found = value.length > longestPaste ? undefined : redirectIn(value, wanted.request);
      if (found === 'unclear') log.warn('that address is cut into lines; paste it once more, as one line');
      else if (found) wanted.found(found);
      else log.warn('that is not the address at which this sign-in ends; paste it once more');
    }
  }

  return {
    next(request) {
      const redirect = new Promise<URLSearchParams>((found) => {
        wanted = { request, found };
      });
      if (!reading) read().catch((error: unknown) => log.debug('no more texts', { reason: error }));
      reading = true;
      return redirect;
    },
    stop() {
      stopped = true;
      void iterator?.return?.()?.catch(() => {});
    },
  };
}
