import type { SignInEdges } from '../auth/edges.ts';
import { AppError, reasonOf } from '../lib/errors.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';

/**
 * Asks the server once for its lists, so that the bridge can answer a client at once from its first start on.
 * A server that cannot tell now is asked again by the bridge: no reason to fail a sign-in.
 */
export async function saveCatalogue(context: Context, client: Client, edges: SignInEdges): Promise<void> {
  const [{ createSession }, { fetchCatalogue }, { openCatalogue }] = await Promise.all([
    import('../auth/session.ts'),
    import('../bridge/fetch-catalogue.ts'),
    import('../bridge/catalogue.ts'),
  ]);
  try {
    const saved = await fetchCatalogue({
      remote: client.remote,
      tokens: createSession(edges, client.signIn),
      http: client.http,
      log: client.log,
      signal: context.signals.aborted,
    });
    await openCatalogue(context.configDir, client.server, client.profile).save(saved);
  } catch (error) {
    client.log.warn(`signed in, but ${client.server.href} did not tell its tools`, {
      reason: reasonOf(error),
      hint: error instanceof AppError ? error.hint : undefined,
    });
  }
}
