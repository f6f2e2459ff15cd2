import { join } from 'node:path';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { SigningKey } from '../../lib/signing-key.ts';
import type { WhoamiServer } from '../../server/server.ts';
import type { Context } from '../context.ts';
import type { ServeSettings } from './settings.ts';

/** The server, and the demo authorization server beside it. */
export interface Parts {
  readonly server: WhoamiServer;
  /** The demo authorization server's, where there is one. */
  readonly demoIssuer: string | undefined;
  close(): Promise<void>;
}

/** Starts what the settings ask for. Throws AppError `port_taken`. */
export async function openParts(
  context: Context,
  { server: settings, demo }: ServeSettings,
  http: HttpClient,
  log: Log,
): Promise<Parts> {
  const identityKey = settings.upstream && (await loadKey(context));
  if (!demo) {
    const { openWhoamiServer } = await import('../../server/server.ts');
    const server = await openWhoamiServer({ settings, identityKey, http, log });
    return { server, demoIssuer: undefined, close: () => server.close() };
  }
  const { openDemoPair } = await import('../demo-pair.ts');
  const { server, issuer, close } = await openDemoPair({
    settings,
    rules: demo.rules,
    idpPort: demo.port,
    stateDir: join(context.configDir, 'provider'),
    identityKey,
    http,
    log,
  });
  return { server, demoIssuer: issuer, close };
}

/** What signs who calls; replicas that share it sign alike. */
async function loadKey(context: Context): Promise<SigningKey> {
  const { loadIdentityKey } = await import('../../server/upstream/identity.ts');
  return loadIdentityKey(join(context.configDir, 'identity-key.json'));
}
