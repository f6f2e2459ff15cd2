import { createPublicKey, type JsonWebKey, type KeyObject, randomBytes, verify } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { decode, judgeProof } from './dpop-verifier.ts';
import { type Model, startModel } from './model-server.ts';

/** One request that came with a token: what was said of it. */
export interface Judged {
  readonly status: 200 | 401;
  /** Why not. */
  readonly why: string | undefined;
  readonly token: string;
  readonly thumbprint: string | undefined;
  readonly nonce: unknown;
}

/** A protected MCP server over both transports that takes nothing but tokens bound to a key (RFC 9449 7). */
export interface DpopResource {
  readonly model: Model;
  readonly judged: Judged[];
  /** Access tokens that are refused from now on. */
  readonly refused: Set<string>;
  /**
   * The nonce changes behind so many requests; 0: it stays. The one before is good for as long. Each third is told
   * with an answer, the others by a 401.
   */
  rotateEvery: number;
  /** Another nonce is wanted now; the one before is good no longer. */
  rotate(): void;
  stop(): Promise<void>;
}

/** In: the path of the MCP endpoint, and the issuer whose JWTs it takes. */
export async function startDpopResource(path: '/mcp' | '/sse', issuer: string): Promise<DpopResource> {
  const model = await startModel();
  const origin = `http://127.0.0.1:${model.port}`;
  const metadata = `/.well-known/oauth-protected-resource${path}`;
  const used = new Set<string>();
  let keys: readonly KeyObject[] = [];
  const newNonce = () => randomBytes(12).toString('base64url');
  let nonces: readonly string[] = [newNonce()];
  let rotations = 0;

  const resource: DpopResource = {
    model,
    judged: [],
    refused: new Set(),
    rotateEvery: 0,
    rotate() {
      nonces = [newNonce()];
    },
    stop: () => model.stop(),
  };

  const tokenProblem = (token: string, thumbprint: string): string | undefined => {
    const [header = '', payload = '', signature = ''] = token.split('.');
    const signed = Buffer.from(`${header}.${payload}`);
    const dsaEncoding = 'ieee-p1363' as const;
    const genuine = keys.some((key) =>
      verify('sha256', signed, { key, dsaEncoding }, Buffer.from(signature, 'base64url')),
    );
    const claims = decode(payload);
    if (!genuine || !claims || claims.iss !== issuer || claims.aud !== `${origin}${path}`) return 'token';
    if (Number(claims.exp) <= Date.now() / 1000 || resource.refused.has(token)) return 'expired';
    return (claims.cnf as { jkt?: string } | undefined)?.jkt === thumbprint ? undefined : 'jkt';
  };

  function judge(
    request: IncomingMessage,
    token: string,
  ): { error: string; why: string } | { thumbprint: string } {
    const { dpop } = request.headers;
    const judgement = judgeProof(typeof dpop === 'string' ? dpop : undefined, {
      method: request.method ?? '',
      target: `${origin}${new URL(request.url ?? '', origin).pathname}`,
      token,
      nonces,
      used,
      now: Math.floor(Date.now() / 1000),
    });
    if ('error' in judgement) return judgement;
    const why = tokenProblem(token, judgement.thumbprint);
    return why ? { error: 'invalid_token', why } : judgement;
  }

  model.gate = (request, response) => {
    const where = `resource_metadata="${origin}${metadata}"`;
    const refuse = (error: string | undefined, headers = {}) => {
      const challenge = `DPoP algs="ES256", ${error ? `error="${error}", ` : ''}${where}`;
      response.writeHead(401, { 'www-authenticate': challenge, ...headers }).end();
      return true;
    };
    if (request.url === metadata) {
      const document = {
        resource: `${origin}${path}`,
        authorization_servers: [issuer],
        scopes_supported: ['openid', 'profile'],
        dpop_bound_access_tokens_required: true,
        dpop_signing_alg_values_supported: ['ES256'],
      };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
      return true;
    }
    if (request.url?.startsWith('/.well-known/')) {
      response.writeHead(404).end();
      return true;
    }
    const token = /^DPoP (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) {
      if (request.headers.authorization) {
        resource.judged.push({
          status: 401,
          why: 'scheme',
          token: '',
          thumbprint: undefined,
          nonce: undefined,
        });
      }
      return refuse(undefined);
    }
    const said = judge(request, token);
    const proof = String(request.headers.dpop ?? '').split('.')[1] ?? '';
    const failed = 'error' in said;
    resource.judged.push({
      status: failed ? 401 : 200,
      why: failed ? said.why : undefined,
      token,
      thumbprint: failed ? undefined : said.thumbprint,
      nonce: decode(proof)?.nonce,
    });
    if (failed) return refuse(said.error, said.error === 'use_dpop_nonce' ? { 'dpop-nonce': nonces[0] } : {});
    const { rotateEvery, judged } = resource;
    if (rotateEvery > 0 && judged.length % rotateEvery === 0) {
      nonces = [newNonce(), ...nonces.slice(0, 1)];
      rotations++;
      if (rotations % 3 === 0) response.setHeader('dpop-nonce', nonces[0] ?? '');
    }
    return false;
  };

  const answer = await fetch(`${issuer}/jwks`);
  const { keys: published } = (await answer.json()) as { keys: JsonWebKey[] };
  keys = published.map((key) => createPublicKey({ key, format: 'jwk' }));
  return resource;
}
