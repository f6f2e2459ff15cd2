import type { TokenChallenge } from '../lib/challenge.ts';
import { AppError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import {
  type AuthorizationServer,
  defaultEndpoints,
  readGivenMetadata,
  readIssuerMetadata,
  readOriginMetadata,
} from './discovery/issuer-metadata.ts';
import { probeServer } from './discovery/probe.ts';
import type { Reach } from './discovery/reach.ts';
import {
  type ResourceMetadata,
  readOwnResourceMetadata,
  readResourceMetadata,
} from './discovery/resource-metadata.ts';
import { type ProofWish, proofWish } from './dpop/binding.ts';

/** What discovery found: where to sign in, and what the server asks for. */
export interface Discovery {
  readonly server: AuthorizationServer;
  /** The resource indicator of the server's metadata; undefined where it has none (revision 2025-03-26). */
  readonly resource: string | undefined;
  /** Scopes of the challenge, else of the metadata; empty when neither names any. */
  readonly scopes: readonly string[];
  /** Undefined: the server knows Bearer tokens alone. */
  readonly dpop: ProofWish | undefined;
}

/**
 * From the URL of an MCP server to its authorization server, every step checked against the one before.
 *
 * In: how the person, or the client itself, signs in; PKCE belongs to the code. Out: `no_oauth_wanted` when the server answers without a
 * token and offers no sign-in. Throws AppError `server_unreachable`, `not_mcp_server`, `metadata_invalid`,
 * `issuer_unreachable`, `pkce_unsupported`, `insecure_url`.
 */
export async function discover(
  reach: Reach,
  settings: SignInSettings,
  log: Log,
  flow: 'code' | 'device' | 'client' = 'code',
): Promise<Discovery | 'no_oauth_wanted'> {
  const { server } = settings;
  const probe = await probeServer(reach, server);
  const challenge = probe.wants === 'token' ? probe.challenge : undefined;
  const metadata =
    probe.wants === 'nothing'
      ? await readOwnResourceMetadata(reach, server)
      : await readResourceMetadata(reach, server, challenge?.resourceMetadata);
  if (probe.wants === 'nothing' && !metadata && !settings.metadata) return 'no_oauth_wanted';
  if (probe.wants === 'unclear' && !settings.metadata) {
    if (!metadata) throw notMcp(server, `status ${probe.status}, and has no OAuth metadata`);
    // A path with a slip of the pen finds its origin's metadata, and would be signed in to for nothing.
    if (probe.absent && metadata.resource !== server.href) {
      throw notMcp(server, `status 404, and the OAuth metadata is of ${display(metadata.resource)}`);
    }
  }

  const issuing = await authorizationServer(reach, settings, metadata, log);
  if (flow === 'code') requireCodeFlow(issuing, settings.assumePkce, log);
  const dpop = proofWish(probe.wants === 'token' ? probe.dpop : undefined, metadata);
  return { server: issuing, resource: metadata?.resource, scopes: scopesAsked(challenge, metadata), dpop };
}

async function authorizationServer(
  reach: Reach,
  settings: SignInSettings,
  metadata: ResourceMetadata | undefined,
  log: Log,
): Promise<AuthorizationServer> {
  if (settings.metadata) {
    const given = await readGivenMetadata(reach, settings.metadata);
    if (metadata && !metadata.issuers.includes(given.issuer)) {
      log.warn('the server does not name the issuer of the metadata given', { issuer: given.issuer });
    }
    return given;
  }
  const issuer = metadata?.issuers[0];
  if (issuer !== undefined) return readIssuerMetadata(reach, issuer);
  const { origin } = settings.server;
  return (await readOriginMetadata(reach, origin)) ?? defaultEndpoints(origin);
}

/** A person is sent there, and S256 must be announced (MCP authorization, Security Considerations 4). */
function requireCodeFlow(server: AuthorizationServer, assume: boolean, log: Log): void {
  const issuer = display(server.issuer);
  if (server.authorization_endpoint === undefined) {
    throw new AppError('metadata_invalid', `the metadata of ${issuer} lacks authorization_endpoint`, {
      hint: 'it signs no person in; a client signs itself in with --client-credentials',
    });
  }
  if (server.code_challenge_methods_supported?.includes('S256')) return;
  if (assume) {
    log.warn('the authorization server does not announce PKCE with S256', { issuer });
    return;
  }
  throw new AppError('pkce_unsupported', `${issuer} does not announce PKCE with S256`, {
    hint: 'if you know that it supports it (Entra ID, Cognito), add --assume-pkce',
  });
}

function scopesAsked(
  challenge: TokenChallenge | undefined,
  metadata: ResourceMetadata | undefined,
): readonly string[] {
  return challenge?.scope?.split(' ') ?? metadata?.scopes ?? [];
}

function notMcp(server: URL, answer: string): AppError {
  return new AppError('not_mcp_server', `${server.href} is no MCP server: it answers with ${answer}`, {
    hint: 'check the URL: its path is often /mcp or /sse',
  });
}
