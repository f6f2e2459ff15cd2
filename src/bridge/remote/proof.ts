import type { IncomingMessage } from 'node:http';
import type { BoundToken } from '../../lib/access.ts';
import { dpopChallenge } from '../../lib/challenge.ts';
import { clockHint } from '../../lib/clock.ts';
import { commandLine } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import type { RemoteSettings } from '../../lib/settings.ts';
import type { Failure } from './failure.ts';

/**
 * What an answer says about the proof that its request carried (RFC 9449 7.1, 9), and nothing about the token, which
 * another one would not mend. The nonce that came with it is taken note of, whatever the status.
 *
 * Out: `nonce`: one more try with that nonce is worth it, and has not been sent twice: the gate refused the first.
 */
export function faultOfProof(
  token: BoundToken,
  target: URL,
  incoming: IncomingMessage,
): 'nonce' | 'proof' | undefined {
  token.heard(target, incoming.headers['dpop-nonce']);
  if (incoming.statusCode !== 401) return undefined;
  switch (dpopChallenge(incoming.headers['www-authenticate'])?.error) {
    case 'use_dpop_nonce':
      return 'nonce';
    case 'invalid_dpop_proof':
      return 'proof';
    default:
      return undefined;
  }
}

/** Clocks that differ by less are no reason to refuse a proof. Milliseconds. */
const fairSkewMs = 60_000;

/** The server takes none of our proofs. In: `now`, milliseconds since the epoch. */
export function proofRefused(remote: RemoteSettings, incoming: IncomingMessage, now: number): Failure {
  incoming.destroy();
  const clock = clockHint(incoming.headers.date, remote.server.host, now, fairSkewMs);
  const hint = clock ?? `sign in again: ${commandLine('login', remote)}`;
  const message = `${remote.server.host} does not accept the proof that the access token is ours (DPoP)`;
  return { reason: 'auth', error: new AppError('token_rejected', message, { hint }) };
}
