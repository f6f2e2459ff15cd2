import type { DpopChallenge } from '../../lib/challenge.ts';
import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import type { Client } from '../client/client.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { ResourceMetadata } from '../discovery/resource-metadata.ts';
import { type DpopAlgorithm, dpopAlgorithms, makeDpopKey } from './key.ts';
import { createProver, type Prover } from './prover.ts';

/** What a protected resource says about access tokens that are bound to a key (DPoP, RFC 9449). */
export interface ProofWish {
  /** It takes no others. */
  readonly required: boolean;
  /** Algorithms of proofs that it takes; undefined: not told. */
  readonly algorithms: readonly string[] | undefined;
}

/**
 * Whether a resource takes bound tokens, or nothing else, by what it says itself:
 *
 * - nothing else: `dpop_bound_access_tokens_required` in its metadata (RFC 9728 2), or a 401 that challenges for DPoP
 *   and not for Bearer;
 * - takes them: `dpop_signing_alg_values_supported` in its metadata, or a 401 that challenges for both;
 * - neither (undefined): it gets Bearer tokens, whatever its authorization server offers. One that has never heard
 *   of DPoP would refuse the scheme, and one that has says so.
 */
export function proofWish(
  challenge: DpopChallenge | undefined,
  metadata: Pick<ResourceMetadata, 'dpopRequired' | 'dpopAlgorithms'> | undefined,
): ProofWish | undefined {
  const algorithms = challenge?.algorithms ?? metadata?.dpopAlgorithms;
  const required = metadata?.dpopRequired === true || challenge?.alone === true;
  return required || challenge || algorithms?.length ? { required, algorithms } : undefined;
}

/** What the tokens of a sign-in are bound to. */
export interface Binding {
  readonly prover: Prover;
  /** A Bearer token in place of a bound one is refused. */
  readonly required: boolean;
}

/** A binding to a new key for a sign-in that asks for one; undefined: Bearer tokens. Throws as `chooseAlgorithm`. */
export async function bind(
  wish: ProofWish | undefined,
  server: AuthorizationServer,
  client: Client,
  now: () => number,
): Promise<Binding | undefined> {
  const choice = chooseAlgorithm(wish, server, client);
  return (
    choice && { prover: createProver(await makeDpopKey(choice.algorithm), now), required: choice.required }
  );
}

/** `required` as in `Binding`. */
export interface Choice {
  readonly algorithm: DpopAlgorithm;
  readonly required: boolean;
}

/**
 * Whether a sign-in asks for bound tokens: where the resource takes them and the authorization server offers them
 * (`dpop_signing_alg_values_supported`, RFC 9449 5.1), with an algorithm that both know; and always where our
 * registration there says so. A resource that merely takes them gets Bearer tokens from a server without DPoP.
 *
 * Out: undefined: Bearer. Throws AppError `metadata_invalid` when bound tokens are required, and not to be had.
 */
export function chooseAlgorithm(
  wish: ProofWish | undefined,
  server: AuthorizationServer,
  client: Client,
): Choice | undefined {
  const required = wish?.required === true || client.bindsTokens === true;
  if (!wish && !required) return undefined;
  const offered = server.dpop_signing_alg_values_supported ?? (client.bindsTokens ? ['ES256'] : []);
  const taken = wish?.algorithms ?? offered;
  const algorithm = dpopAlgorithms.find((name) => offered.includes(name) && taken.includes(name));
  if (algorithm) return { algorithm, required };
  if (!required) return undefined;
  const issuer = display(server.issuer);
  const lacks = offered.length === 0 ? 'does not offer that' : 'offers no way to sign that fits';
  throw new AppError(
    'metadata_invalid',
    `the server wants access tokens that are bound to a key (DPoP), and ${issuer} ${lacks}`,
    { hint: 'tell whoever runs the server: dpop_signing_alg_values_supported (RFC 9449 5.1)' },
  );
}
