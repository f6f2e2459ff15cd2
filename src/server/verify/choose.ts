import { AppError } from '../../lib/errors.ts';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import { createKeySet, type KeySet } from './jwks.ts';
import { createJwtVerifier } from './jwt.ts';
import { decodeJwt } from './jwt-text.ts';
import { createQuestions } from './questions.ts';
import { createUserinfoVerifier } from './userinfo.ts';
import type { Verifier } from './verifier.ts';

/** How the tokens of one provider are verified. */
export interface Method {
  readonly verifier: Verifier;
  /** The keys to load before we are ready; `undefined` when no JWT is verified. */
  readonly keys: KeySet | undefined;
  /** For the start-up line and `/readyz`. */
  readonly description: string;
  readonly audience: 'checked' | 'not checked' | 'checked in JWTs only';
}

export interface MethodOptions {
  readonly settings: ServerSettings;
  readonly metadata: ProviderMetadata;
  /** The server's own resource identifiers. */
  readonly resources: readonly string[];
  readonly http: HttpClient;
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Chooses how to verify, by `--verify` and by what the provider offers.
 *
 * Throws AppError `metadata_invalid` when there is no way: it names what the metadata lacks.
 */
export function chooseMethod(options: MethodOptions): Method {
  const { settings, metadata } = options;
  const keys = metadata.jwksUri && createKeySet({ ...options, url: metadata.jwksUri });
  const jwt = settings.verify === 'auto' || settings.verify === 'jwt' ? jwtWay(options, keys) : undefined;
  const userinfo =
    settings.verify === 'auto' || settings.verify === 'userinfo' ? userinfoWay(options, keys) : undefined;
  if (jwt && userinfo && metadata.jwksUri && metadata.userinfoUrl) {
    return {
      verifier: either(jwt, warnOnce(userinfo, options)),
      keys,
      description: `JWT (keys of ${metadata.jwksUri.href}), audience: checked; opaque tokens by userinfo ${metadata.userinfoUrl.href}, audience: not checked`,
      audience: 'checked in JWTs only',
    };
  }
  if (jwt && metadata.jwksUri) {
    const description = `JWT (keys of ${metadata.jwksUri.href}), audience: checked`;
    return { verifier: jwt, keys, description, audience: 'checked' };
  }
  if (userinfo && metadata.userinfoUrl) {
    const description = `userinfo ${metadata.userinfoUrl.href}, audience: not checked`;
    options.log.warn(anybodysToken(metadata));
    return { verifier: userinfo, keys: undefined, description, audience: 'not checked' };
  }
  throw noWay(settings, metadata);
}

function jwtWay(options: MethodOptions, keys: KeySet | undefined): Verifier | undefined {
  const { settings, metadata, resources, now } = options;
  const audiences = settings.audience ? [settings.audience] : resources;
  return keys && createJwtVerifier({ issuer: metadata.issuer, audiences, keys, now });
}

/** Userinfo can confirm neither an audience nor scopes: where one was asked for by name, it is no way. */
function userinfoWay(options: MethodOptions, keys: KeySet | undefined): Verifier | undefined {
  const { settings, metadata, http, now } = options;
  const askedFor = settings.audience !== undefined || (settings.requiredScope ?? []).length > 0;
  if (!metadata.userinfoUrl || askedFor) return undefined;
  const questions = createQuestions(http, now);
  return createUserinfoVerifier({
    issuer: metadata.issuer,
    url: metadata.userinfoUrl,
    questions,
    keys,
    now,
  });
}

/**
 * A JWT is judged by its signature and claims, and that is final, unless it has no audience at all: such a
 * provider binds its tokens to nobody. Everything else is asked about at the userinfo endpoint. Neither way
 * shows a token of another issuer to ours.
 */
function either(jwt: Verifier, userinfo: Verifier): Verifier {
  return {
    verify(token) {
      const bound = decodeJwt(token)?.payload.aud !== undefined;
      return (bound ? jwt : userinfo).verify(token);
    },
  };
}

/** Opaque tokens may never come; the warning about them waits until one does. */
function warnOnce(userinfo: Verifier, { log, metadata }: MethodOptions): Verifier {
  let warned = false;
  return {
    async verify(token) {
      const verdict = await userinfo.verify(token);
      if (verdict.outcome === 'accepted' && !warned) {
        warned = true;
        log.warn(anybodysToken(metadata));
      }
      return verdict;
    },
  };
}

const anybodysToken = ({ issuer }: ProviderMetadata) =>
  `tokens are verified by userinfo, which does not tell whom they are for: one of any application at ${issuer} is accepted`;

function noWay(settings: ServerSettings, { issuer, jwksUri, userinfoUrl }: ProviderMetadata): AppError {
  if (settings.verify === 'introspection') {
    return new AppError('usage', 'tokens cannot be verified by introspection', { hint: '--verify auto' });
  }
  const lacks = [!jwksUri && 'jwks_uri', !userinfoUrl && 'userinfo_endpoint']
    .filter(Boolean)
    .join(' and no ');
  if (lacks === '' || (settings.verify === 'auto' && userinfoUrl)) {
    return new AppError(
      'metadata_invalid',
      `${issuer} publishes no keys (jwks_uri), and its userinfo endpoint cannot check an audience or scopes`,
      { hint: 'leave --audience and --required-scope out' },
    );
  }
  return new AppError('metadata_invalid', `${issuer} gives no way to verify tokens: it has no ${lacks}`, {
    hint: '--userinfo-url URL names an endpoint that tells who a token belongs to',
  });
}
