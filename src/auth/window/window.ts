import { hasCode } from '../../lib/errors.ts';
import { isObject, parseJsonObject, stringMember } from '../../lib/json.ts';
import { Secret } from '../../lib/secret.ts';
import { entryKey } from '../../vault/key.ts';
import type { Lock } from '../../vault/vault.ts';
import type { AuthorizationRequest, Pushed } from '../authorization-request.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { Binding } from '../dpop/binding.ts';
import { parseDpopKey, printDpopKey } from '../dpop/key.ts';
import { createProver } from '../dpop/prover.ts';
import type { SignInEdges } from '../edges.ts';
import { parseClient, printClient } from '../tokens/token-set.ts';
import type { Whose } from '../tokens/token-store.ts';

/** How long a sign-in may take, and how long its pending entry counts. Milliseconds. */
export const signInMs = 5 * 60_000;

/** What another process may find: a request that waits in somebody's browser, or a wish not to be asked. */
export type Pending =
  | { readonly kind: 'request'; readonly request: AuthorizationRequest; readonly opened: boolean }
  | { readonly kind: 'pause'; readonly until: number };

/** The right to have the one sign-in window of a server and profile. Lost when the process ends. */
export interface Claim {
  /** What an earlier holder left behind, unless it is too old. */
  pending(): Promise<Pending | undefined>;
  /** Leaves word of our request for who comes after us. In: whether its URL was opened in a browser. */
  announce(request: AuthorizationRequest, opened: boolean): Promise<void>;
  /** Asks everybody to open no window for a while. */
  pause(ms: number): Promise<void>;
  /** Gives the claim up. In: whether what was announced stays for another process. */
  release(keep: boolean): Promise<void>;
}

export interface SignInWindow {
  tryClaim(): Promise<Claim | undefined>;
  /** Waits for the claim; undefined after `timeoutMs`. */
  claim(timeoutMs: number): Promise<Claim | undefined>;
}

/** The sign-in window of one server and profile, among all processes of the user. */
export function openSignInWindow(
  { vault, locks, now }: Pick<SignInEdges, 'vault' | 'locks' | 'now'>,
  { server, profile }: Whose,
): SignInWindow {
  const key = entryKey({ resource: server, profile, purpose: 'pending' });
  // Tokens in memory are no use to anybody else: then each process has a window of its own.
  const name = `sign-in-${key}${vault.kind === 'memory' ? `-${process.pid}` : ''}`;

  function claimed(lock: Lock): Claim {
    let written = false;
    const write = async (pending: unknown) => {
      await vault.save(key, new Secret(JSON.stringify(pending)));
      written = true;
    };
    return {
      async pending() {
        const text = await vault.load(key);
        const found = text && parsePending(text, now);
        // What is too old, or no longer to be read, goes with the release.
        written = text !== undefined && found?.kind !== 'pause';
        return found;
      },
      announce: (request, opened) => write({ kind: 'request', opened, ...printRequest(request) }),
      async pause(ms) {
        await write({ kind: 'pause', until: now() + ms });
        written = false;
      },
      async release(keep) {
        try {
          if (written && !keep) await vault.remove(key);
        } finally {
          await lock.release();
        }
      },
    };
  }

  return {
    async tryClaim() {
      const lock = await locks.tryAcquire(name);
      return lock && claimed(lock);
    },
    async claim(timeoutMs) {
      try {
        return claimed(await locks.acquire(name, timeoutMs));
      } catch (error) {
        if (hasCode(error, 'lock_timeout')) return undefined;
        throw error;
      }
    },
  };
}

function printRequest({ verifier, client, binding, ...rest }: AuthorizationRequest) {
  return {
    ...rest,
    verifier: verifier.reveal(),
    client: printClient(client),
    binding: binding && { required: binding.required, key: printDpopKey(binding.prover.key) },
  };
}

function parseBinding(from: unknown, now: () => number): Binding | undefined {
  const key = isObject(from) ? parseDpopKey(from.key) : undefined;
  return key && isObject(from)
    ? { prover: createProver(key, now), required: from.required === true }
    : undefined;
}

function parsePending(text: Secret, clock: () => number): Pending | undefined {
  const now = clock();
  const from = parseJsonObject(text.reveal(), 'the vault', 'remote_error');
  const { kind, until, startedAt } = from;
  if (kind === 'pause') return typeof until === 'number' && until > now ? { kind, until } : undefined;
  const [url, redirectUri, state, verifier] = ['url', 'redirectUri', 'state', 'verifier'].map((name) =>
    stringMember(from, name),
  );
  const client = parseClient(isObject(from.client) ? from.client : undefined);
  if (!url || !redirectUri || !state || !verifier || !client || !isObject(from.server)) return undefined;
  const binding = parseBinding(from.binding, clock);
  if (from.binding !== undefined && !binding) return undefined;
  if (typeof startedAt !== 'number' || startedAt + signInMs < now || startedAt > now + signInMs) {
    return undefined;
  }
  return {
    kind: 'request',
    opened: from.opened === true,
    request: {
      url,
      // Written by us, too.
      pushed: isObject(from.pushed) ? (from.pushed as unknown as Pushed) : undefined,
      redirectUri,
      state,
      verifier: new Secret(verifier),
      nonce: stringMember(from, 'nonce'),
      scope: stringMember(from, 'scope'),
      resource: stringMember(from, 'resource'),
      binding,
      // Written by us after the check, into a store that only we write to.
      server: from.server as unknown as AuthorizationServer,
      client,
      startedAt,
    },
  };
}
