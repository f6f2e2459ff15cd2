import type { SignInEdges } from '../auth/edges.ts';
import type { Session } from '../auth/session.ts';
import type { SignIn } from '../lib/access.ts';
import { openInBrowser } from '../lib/browser.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';

/** Opens the vault and all else that a sign-in touches, once, at the first use. */
export type LateEdges = () => Promise<SignInEdges>;

/** In: `waitMs`, the limit of every keychain call: 10 s for the bridge, 60 s where a person sits. */
export function openEdges(context: Context, client: Client, waitMs: number): LateEdges {
  let opened: Promise<SignInEdges> | undefined;
  const open = async (): Promise<SignInEdges> => {
    const [{ openVault }, { openIndex }, { openLocks }] = await Promise.all([
      import('../vault/open.ts'),
      import('../vault/index-file.ts'),
      import('../vault/locks.ts'),
    ]);
    const { configDir, environment, setEnvironment, now } = context;
    const { log, http } = client;
    const locks = openLocks(configDir);
    const index = openIndex(configDir, locks, log);
    const vault = await openVault({
      store: client.store,
      configDir,
      passphrase: client.passphrase,
      log,
      waitMs,
      index,
      environment,
      setEnvironment,
    });
    const openBrowser = (url: string) =>
      openInBrowser(url, environment.BROWSER || undefined, { allowHttp: client.signIn.allowHttp }, context);
    return { http, vault, index, locks, log, now, openBrowser, configDir };
  };
  return () => {
    opened ??= open().catch((error: unknown) => {
      // A locked keychain may be unlocked by the time of the next call.
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

/**
 * The session of a person's sign-in, or of a client that signs in for itself; its parts are loaded with the first
 * request. In: `signsIn`: whether such a client may do so where it has no token to renew.
 */
export function lateSession(edges: LateEdges, { signIn }: Client, signsIn = true): Session {
  let session: Promise<Session> | undefined;
  const load = () => {
    session ??= (async () => {
      if (signIn.clientCredentials && signsIn) {
        const { createClientSession } = await import('../auth/client-session.ts');
        return createClientSession(await edges(), signIn);
      }
      const { createSession } = await import('../auth/session.ts');
      return createSession(await edges(), signIn);
    })().catch((error: unknown) => {
      session = undefined;
      throw error;
    });
    return session;
  };
  return {
    current: async () => (await load()).current(),
    renew: async (rejected) => (await load()).renew(rejected),
    insufficient: async (token) => (await load()).insufficient(token),
    settle: async () => (await session)?.settle(),
  };
}

/** Signing in on demand; loaded when a call needs it. */
export function lateSignIn(edges: LateEdges, client: Client): SignIn {
  let signIn: Promise<SignIn> | undefined;
  return {
    async start(scope) {
      signIn ??= (async () => {
        const { createSignIn } = await import('../auth/sign-in.ts');
        return createSignIn(await edges(), client.signIn);
      })().catch((error: unknown) => {
        signIn = undefined;
        throw error;
      });
      return (await signIn).start(scope);
    },
  };
}
