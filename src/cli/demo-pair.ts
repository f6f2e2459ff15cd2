import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import { assertPortFree } from '../lib/ports.ts';
import type { IssuerRules, ServerSettings } from '../lib/settings.ts';
import type { SigningKey } from '../lib/signing-key.ts';

export interface DemoPairOptions {
  readonly settings: ServerSettings;
  /** How the server verifies the demo's tokens. */
  readonly rules: IssuerRules;
  readonly idpPort: number;
  readonly stateDir: string;
  /** Signs who calls, where the server is the gate of another one. */
  readonly identityKey?: SigningKey | undefined;
  readonly http: HttpClient;
  readonly log: Log;
}

/**
 * The whoami server with the demo authorization server beside it, each knowing the other's address: the server
 * its issuer, the issuer the resources that it may bind tokens to (RFC 8707).
 */
export async function openDemoPair(options: DemoPairOptions) {
  const { settings, rules, idpPort, stateDir, identityKey, http, log } = options;
  const [{ openDemoProvider }, { openWhoamiServer }] = await Promise.all([
    import('../idp/provider.ts'),
    import('../server/server.ts'),
  ]);
  // First of all: a second copy of us must hear of the server's port, not of the demo's.
  await assertPortFree(settings.host, settings.port, '--port');
  let resources: readonly string[] = [];
  const provider = await openDemoProvider({
    host: '127.0.0.1',
    port: idpPort,
    stateDir,
    resources: () => resources,
    log,
  });
  try {
    const issuers = [{ ...rules, issuer: provider.issuer }];
    const server = await openWhoamiServer({ settings: { ...settings, issuers }, identityKey, http, log });
    resources = server.resources;
    const close = async () => {
      await server.close();
      await provider.close();
    };
    return { server, issuer: provider.issuer, close };
  } catch (error) {
    await provider.close();
    throw error;
  }
}
