import type { SignInSettings } from '../lib/settings.ts';
import { redirectUriOf } from './redirect/loopback.ts';

/** What helps with the habits of providers that no answer of theirs tells us of, in words for hints. */

/**
 * What to compare a provider's own error page with: it never comes back to us (OAuth 2.0 4.1.2.1). In: the
 * redirect URI, once it is known. Out: half a sentence.
 */
export function errorPageAdvice(
  settings: Pick<SignInSettings, 'redirectHost' | 'redirectPort' | 'resource'>,
  redirectUri = redirectUriOf(settings.redirectHost, settings.redirectPort),
): string {
  const registered = `see that ${redirectUri} is registered there (--redirect-port, --redirect-host)`;
  return settings.resource === 'none'
    ? registered
    : `${registered}, or leave the resource out with --resource none`;
}

/** How to get a refresh token: most want the scope of OpenID Connect 11, Google a parameter of its own. */
export const refreshTokenAdvice =
  'to stay signed in for longer, add offline_access to --scope, or --auth-param access_type=offline (Google)';
