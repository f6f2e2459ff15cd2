import { createHash, randomBytes } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Asked, Quirks, TokenShape } from './quirks.ts';

export interface Grant extends Asked {
  readonly subject: string;
}

/** A token answer, or an error of the token endpoint. */
export type TokenAnswer = Readonly<Record<string, string | number>>;

/** Codes and tokens of one emulated provider. */
export interface Tokens {
  readonly jwks: { readonly keys: readonly JWK[] };
  /** A code for what was asked. */
  codeFor(asked: Asked): string;
  /** In: the form of a token request, and the client that proved itself. */
  answer(form: URLSearchParams, clientId: string): Promise<TokenAnswer>;
  /** Whose an access token is. */
  grantOf(accessToken: string): Grant | undefined;
  /** None of them is any good from now on. */
  forget(): void;
}

const alg = 'RS256';

/** Keys are slow to make: all emulators of a process share theirs, and the ones that nobody publishes. */
const pairs = Promise.all([generateKeyPair(alg), generateKeyPair(alg)]);

export const random = () => randomBytes(16).toString('hex');

export async function openTokens(quirks: Quirks): Promise<Tokens> {
  const [own, foreign] = await pairs;
  const codes = new Map<string, Grant>();
  const accessTokens = new Map<string, Grant>();
  const refreshTokens = new Map<string, Grant>();

  function redeem(form: URLSearchParams): Grant | undefined {
    const refresh = form.get('refresh_token');
    if (refresh !== null) {
      const grant = refreshTokens.get(refresh);
      refreshTokens.delete(refresh);
      return grant;
    }
    const code = form.get('code') ?? '';
    const grant = codes.get(code);
    codes.delete(code);
    const hash = createHash('sha256').update(form.get('code_verifier') ?? '');
    if (hash.digest('base64url') !== grant?.parameters.get('code_challenge')) return undefined;
    return form.get('redirect_uri') === grant.parameters.get('redirect_uri') ? grant : undefined;
  }

  function sign({ claims, typ = 'JWT', unverifiable }: Exclude<TokenShape, 'opaque'>, grant: Grant) {
    return new SignJWT({ jti: random(), ...claims })
      .setProtectedHeader({ alg, kid: '1', typ })
      .setIssuer(grant.issuer)
      .setSubject(grant.subject)
      .setIssuedAt()
      .setExpirationTime('1 hour')
      .sign(unverifiable ? foreign.privateKey : own.privateKey);
  }

  async function accessTokenFor(grant: Grant): Promise<string> {
    const shape = quirks.accessToken?.(grant) ?? 'opaque';
    const token = shape === 'opaque' ? random() : await sign(shape, grant);
    accessTokens.set(token, grant);
    return token;
  }

  function refreshTokenFor(grant: Grant): { refresh_token?: string } {
    if (quirks.refreshes && !quirks.refreshes(grant)) return {};
    const token = random();
    refreshTokens.set(token, grant);
    return { refresh_token: token };
  }

  async function idTokenFor(grant: Grant): Promise<{ id_token?: string }> {
    if (quirks.plainOAuth || !grant.scopes.includes('openid')) return {};
    const { parameters } = grant;
    const claims = { nonce: parameters.get('nonce'), aud: parameters.get('client_id') };
    return { id_token: await sign({ claims }, grant) };
  }

  return {
    jwks: { keys: [{ ...(await exportJWK(own.publicKey)), kid: '1', alg, use: 'sig' }] },
    codeFor(asked) {
      const code = random();
      codes.set(code, { ...asked, subject: 'carol' });
      return code;
    },
    async answer(form, clientId) {
      const grant = redeem(form);
      if (grant?.parameters.get('client_id') !== clientId) {
        return { error: quirks.errorsWith200 ? 'bad_verification_code' : 'invalid_grant' };
      }
      return {
        access_token: await accessTokenFor(grant),
        token_type: 'Bearer',
        scope: grant.scopes.join(' '),
        ...(quirks.tokensNeverEnd ? {} : { expires_in: 3600 }),
        ...refreshTokenFor(grant),
        ...(await idTokenFor(grant)),
      };
    },
    grantOf: (accessToken) => accessTokens.get(accessToken),
    forget() {
      for (const known of [codes, accessTokens, refreshTokens]) known.clear();
    },
  };
}
