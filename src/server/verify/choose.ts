import { decodeJwt } from '../../lib/jwt-text.ts';
import type { Log } from '../../lib/log.ts';
import type { IssuerSettings } from '../../lib/settings.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import type { ProviderReader } from '../provider/reader.ts';
import { type ExpectedAudience, isForUs } from './audience.ts';
import type { Observer, Way } from './events.ts';
import { noIntrospection, noWay, reasonFor } from './explain.ts';
import { createIntrospectionVerifier } from './introspection.ts';
import { createKeySet, type KeySet } from './jwks.ts';
import { createJwtVerifier } from './jwt.ts';
import { createQuestions } from './questions.ts';
import { mayAskUserinfo, mayIntrospect, mayVerifyJwt } from './rules.ts';
import { createUserinfo, createUserinfoVerifier } from './userinfo.ts';
import type { Verifier } from './verifier.ts';

/** How the tokens of one provider are verified. */
export interface Method {
  readonly verifier: Verifier;
  /** The ways in use: by signature, and the one for every other token. */
  readonly ways: readonly Way[];
  /** Whether tokens that name no issuer may be this provider's. */
  readonly takesOpaque: boolean;
  /** The keys to load before we are ready; `undefined` when no JWT is verified. */
  readonly keys: KeySet | undefined;
  /** For the start-up line: each way, its address, and whether it checks the audience. */
  readonly description: string;
  /** Why it is this method. */
  readonly reason: string;
  readonly audience: 'checked' | 'not checked' | 'checked in JWTs only';
}

export interface MethodOptions {
  readonly rules: IssuerSettings;
  readonly metadata: ProviderMetadata;
  /** The server's own resource identifiers. */
  readonly resources: readonly string[];
  /** Keys that are here already: used where they are those of `metadata`. */
  readonly keys?: KeySet | undefined;
  readonly reader: ProviderReader;
  readonly log: Log;
  readonly now: () => number;
  readonly observe: Observer;
}

/**
 * Chooses how to verify, by `--verify` and by what the provider offers.
 *
 * Throws AppError `metadata_invalid` when there is no way: it names what the metadata lacks.
 */
export function chooseMethod(options: MethodOptions): Method {
  const { rules, metadata } = options;
  const { jwksUri, introspectionUrl, userinfoUrl } = metadata;
  if (mayIntrospect(rules) && !introspectionUrl) throw noIntrospection(metadata);
  const isSame = jwksUri !== undefined && options.keys?.url.href === jwksUri.href;
  const keys = isSame ? options.keys : jwksUri && createKeySet({ ...options, url: jwksUri });
  const audience = expectedAudience(options);
  const jwt = mayVerifyJwt(rules) ? jwtWay(options, audience, keys) : undefined;
  const opaque = opaqueWay(options, audience, keys);
  const byUserinfo = `userinfo ${userinfoUrl?.href}, audience: not checked`;
  const byIntrospection = `introspection ${introspectionUrl?.href}, audience: checked`;
  const opaqueText = opaque?.way === 'introspection' ? byIntrospection : byUserinfo;
  const jwtText = `JWT (keys of ${jwksUri?.href}), audience: checked`;
  const common = { takesOpaque: opaque !== undefined, reason: reasonFor(rules, metadata) };
  if (jwt && opaque) {
    const { way, verifier } = opaque;
    const other = way === 'userinfo' ? warnOnce(verifier, options) : verifier;
    return {
      ...common,
      verifier: either(jwt, other, audience),
      ways: ['jwt', way],
      keys,
      description: `${jwtText}; opaque tokens by ${opaqueText}`,
      audience: way === 'userinfo' ? 'checked in JWTs only' : 'checked',
    };
  }
  if (jwt) {
    return { ...common, verifier: jwt, ways: ['jwt'], keys, description: jwtText, audience: 'checked' };
  }
  if (!opaque) throw noWay(rules, metadata);
  if (opaque.way === 'userinfo') options.log.warn(anybodysToken(metadata));
  return {
    ...common,
    verifier: opaque.verifier,
    ways: [opaque.way],
    keys: undefined,
    description: opaqueText,
    audience: opaque.way === 'userinfo' ? 'not checked' : 'checked',
  };
}

function expectedAudience({ rules, resources }: MethodOptions): ExpectedAudience {
  return rules.audience === undefined
    ? { accepted: resources, byName: false }
    : { accepted: [rules.audience], byName: true };
}

function jwtWay(options: MethodOptions, audience: ExpectedAudience, keys: KeySet | undefined) {
  const { issuer } = options.metadata;
  return keys && observed('jwt', createJwtVerifier({ issuer, audience, keys, now: options.now }), options);
}

/** The way for tokens that do not describe themselves: introspection tells whom they are for, userinfo does not. */
function opaqueWay(
  options: MethodOptions,
  audience: ExpectedAudience,
  keys: KeySet | undefined,
): { readonly way: Exclude<Way, 'jwt'>; readonly verifier: Verifier } | undefined {
  const { rules, metadata, reader, log, now } = options;
  const { issuer, introspectionUrl, userinfoUrl, clientAuthMethods: authMethods } = metadata;
  const questions = createQuestions(reader, now);
  const userinfo = userinfoUrl && createUserinfo({ issuer, url: userinfoUrl, questions, keys });
  if (mayIntrospect(rules) && introspectionUrl && rules.introspection) {
    const verifier = createIntrospectionVerifier({
      issuer,
      url: introspectionUrl,
      client: rules.introspection,
      authMethods,
      audience,
      allow: rules.allow,
      userinfo,
      questions,
      log,
      now,
    });
    return { way: 'introspection', verifier: observed('introspection', verifier, options) };
  }
  if (!mayAskUserinfo(rules) || !userinfo) return undefined;
  const verifier = createUserinfoVerifier({ issuer, userinfo, now });
  return { way: 'userinfo', verifier: observed('userinfo', verifier, options) };
}

/**
 * A JWT is judged by its signature and claims, and that is final, unless it has no audience at all: such a
 * provider binds its tokens to nobody, or tells only when asked. Everything else is asked about. Neither way shows
 * a token of another issuer to ours.
 */
function either(jwt: Verifier, opaque: Verifier, audience: ExpectedAudience): Verifier {
  return {
    verify(token) {
      const payload = decodeJwt(token)?.payload;
      const isBound = payload !== undefined && (payload.aud !== undefined || isForUs(payload, audience));
      return (isBound ? jwt : opaque).verify(token);
    },
  };
}

/** Tells the observer what became of each token. */
function observed(way: Way, verifier: Verifier, { observe, rules }: MethodOptions): Verifier {
  const { issuer } = rules;
  return {
    async verify(token) {
      let outcome: 'accepted' | 'rejected' | 'insufficient_scope' | 'unavailable' = 'unavailable';
      try {
        const verdict = await verifier.verify(token);
        outcome = verdict.outcome;
        return verdict;
      } finally {
        observe({ name: 'token_verified', issuer, way, outcome });
      }
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
