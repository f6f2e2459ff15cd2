import { AppError } from '../../lib/errors.ts';
import type { Secret } from '../../lib/secret.ts';

const mostStrikes = 3;
const forgetMs = 60_000;

/** Notices a server that refuses whatever it is given, so that it cannot make us renew for ever. */
export interface Strikes {
  /** Counts a use of `token`; gives it back. */
  handedOut(token: Secret): Secret;
  /**
   * Counts that the server refused `token`. A token that was refused at least every other time that it was used
   * is a strike against the server, noticed when its successor is refused too.
   *
   * Throws AppError `token_rejected` after three strikes within a minute.
   */
  rejected(token: Secret): void;
}

interface Record {
  readonly token: Secret;
  uses: number;
  refusals: number;
}

export function createStrikes(monotonic: () => number, server: URL): Strikes {
  let latest: Record | undefined;
  let previous: Record | undefined;
  let strikes: number[] = [];

  const recent = () => strikes.filter((at) => at > monotonic() - forgetMs);

  function judge({ uses, refusals }: Record): void {
    const fruitless = refusals * 2 >= uses;
    strikes = fruitless ? [...recent(), monotonic()] : [];
  }

  return {
    handedOut(token) {
      if (!latest?.token.equals(token)) [previous, latest] = [latest, { token, uses: 0, refusals: 0 }];
      latest.uses++;
      return token;
    },
    rejected(token) {
      const record = [latest, previous].find((it) => it?.token.equals(token));
      if (!record) return;
      record.refusals++;
      if (record !== latest) return;
      if (previous && record.refusals === 1) judge(previous);
      if (recent().length >= mostStrikes) throw refusesAll(server);
    },
  };
}

const refusesAll = (server: URL) =>
  new AppError('token_rejected', `${server.href} refuses every access token, however fresh`, {
    hint: 'the tokens may be made for another audience: sign in again with --resource, --scope or --auth-param audience=URI as the server expects',
  });
