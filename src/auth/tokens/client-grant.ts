import { type Asking, askForTokens, type GrantResult } from './oauth.ts';

/** How a token for the client itself was asked for: it is asked for again in the same way. No secrets. */
export interface ClientGrant {
  readonly scope: string | undefined;
  /** What `--auth-param` gave. */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Asks for a token for the client itself (client credentials, RFC 6749 4.4). In: `resource` (RFC 8707 2). Throws
 * what `askForTokens` throws.
 */
export function askAsClient(
  asking: Omit<Asking, 'secrets'>,
  resource: string | undefined,
  { scope, parameters }: ClientGrant,
): Promise<GrantResult> {
  const wanted = { ...parameters, ...(scope ? { scope } : {}), ...(resource ? { resource } : {}) };
  const secrets = [asking.client.secret?.reveal() ?? ''];
  return askForTokens({ ...asking, secrets }, (library, configuration, _recording, proof) =>
    library.clientCredentialsGrant(configuration, wanted, proof),
  );
}
