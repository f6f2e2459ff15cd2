import type { AccessTokens } from '../lib/access.ts';
import { commandLine } from '../lib/command-line.ts';
import { AppError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { Context } from './context.ts';
import { tokensFromCommand } from './token-command.ts';

/** An access token that nobody signs in for: as it is, or from a command. `from`: the setting's name. */
export type GivenToken =
  | { readonly from: string; readonly value: Secret }
  | { readonly from: string; readonly command: string };

/** The access tokens of a setting: the keychain is not touched, and nothing but a command renews them. */
export function givenTokens(
  { signals, now }: Pick<Context, 'signals' | 'now'>,
  given: GivenToken,
  whose: { readonly server: URL; readonly profile: string },
): AccessTokens {
  if ('value' in given) return tokenByHand(given.value, given.from, whose);
  const { command, from } = given;
  return tokensFromCommand({ command, from, server: whose.server, signal: signals.aborted, now });
}

/** An access token that a person or a CI run gave us: sent as it is, never renewed. */
function tokenByHand(
  value: Secret,
  from: string,
  { server, profile }: { readonly server: URL; readonly profile: string },
): AccessTokens {
  return {
    current: async () => value,
    insufficient: async () => ({ replaced: false, scopes: [] }),
    renew: async () => {
      throw new AppError('token_rejected', `${server.href} refused the access token in ${from}`, {
        hint: `put a fresh token into ${from}, or unset it and run ${commandLine('login', { server, profile })}`,
      });
    },
  };
}
