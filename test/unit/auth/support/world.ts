import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SignInEdges } from '../../../../src/auth/edges.ts';
import { type LoginOptions, login } from '../../../../src/auth/login.ts';
import { AppError } from '../../../../src/lib/errors.ts';
import { createHttpClient } from '../../../../src/lib/http.ts';
import { createLog } from '../../../../src/lib/log.ts';
import type { Secret } from '../../../../src/lib/secret.ts';
import type { SignInSettings } from '../../../../src/lib/settings.ts';
import type { Index, IndexEntry } from '../../../../src/vault/index-file.ts';
import type { Lock, Locks, Vault } from '../../../../src/vault/vault.ts';
import type { Behaviour } from './behaviour.ts';
import { type Listening, visit } from './http.ts';
import { type Issuer, startIssuer } from './issuer.ts';
import { type Resource, type ResourceBehaviour, startResource } from './resource.ts';

/** What all processes of one user share. */
export interface Shared {
  readonly entries: Map<string, Secret>;
  readonly index: Map<string, IndexEntry>;
  readonly held: Map<string, Promise<void>>;
  /** Set: every call of the vault fails with it. */
  broken: { load?: AppError | undefined; save?: AppError | undefined };
  readonly vaultCalls: string[];
}

function sharedVault(shared: Shared, kind: Vault['kind']): Vault {
  const note = (what: string, error?: AppError) => {
    shared.vaultCalls.push(what);
    if (error) throw error;
  };
  return {
    kind,
    description: 'the keychain of the test',
    async load(key) {
      note(`load ${key}`, shared.broken.load);
      return shared.entries.get(key);
    },
    async save(key, value) {
      note(`save ${key}`, shared.broken.save);
      shared.entries.set(key, value);
    },
    async remove(key) {
      note(`remove ${key}`);
      shared.entries.delete(key);
    },
  };
}

function sharedIndex(entries: Map<string, IndexEntry>): Index {
  return {
    list: async () => [...entries.values()],
    get: async (key) => entries.get(key),
    put: async (entry) => void entries.set(entry.key, entry),
    remove: async (key) => void entries.delete(key),
  };
}

function sharedLocks(held: Map<string, Promise<void>>): Locks {
  const tryAcquire = async (name: string): Promise<Lock | undefined> => {
    if (held.has(name)) return undefined;
    let free: () => void = () => {};
    held.set(
      name,
      new Promise((resolve) => {
        free = resolve;
      }),
    );
    return {
      release: async () => {
        held.delete(name);
        free();
      },
    };
  };
  return {
    tryAcquire,
    async acquire(name, timeoutMs) {
      const end = Date.now() + timeoutMs;
      for (;;) {
        const lock = await tryAcquire(name);
        if (lock) return lock;
        const left = end - Date.now();
        if (left <= 0) throw new AppError('lock_timeout', 'locked');
        let timer: NodeJS.Timeout | undefined;
        const patience = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, left);
        });
        await Promise.race([held.get(name), patience]);
        clearTimeout(timer);
      }
    },
  };
}

/** One process: its own edges over what all share. */
export interface Process extends SignInEdges {
  readonly lines: string[];
  readonly opened: string[];
  browse: (url: string) => Promise<unknown>;
}

export interface World {
  readonly issuer: Issuer;
  readonly resource: Resource;
  readonly shared: Shared;
  readonly configDir: string;
  settings: SignInSettings;
  process(kind?: Vault['kind']): Process;
  /** Wall clock and monotonic clock, moved by hand. */
  readonly clock: { wall: number; monotonic: number };
  /** Signs in with the process's browser; out: as `login`. */
  login(
    edges: Process,
    how?: Partial<LoginOptions>,
    settings?: Partial<SignInSettings>,
  ): ReturnType<typeof login>;
  /** Closed with the world. */
  keep<T extends Listening>(server: T): T;
  close(): Promise<void>;
}

export async function createWorld(
  issuerBehaviour: Behaviour = {},
  resourceBehaviour: ResourceBehaviour = {},
): Promise<World> {
  const issuer = await startIssuer(issuerBehaviour);
  const resource = await startResource(() => issuer.issuer, resourceBehaviour);
  const configDir = await mkdtemp(join(tmpdir(), 'mcp-whoami-auth-'));
  const shared: Shared = {
    entries: new Map(),
    index: new Map(),
    held: new Map(),
    broken: {},
    vaultCalls: [],
  };
  const clock = { wall: 0, monotonic: 0 };
  const clients: { close(): void }[] = [];
  const servers: Listening[] = [issuer, resource];
  const settings: SignInSettings = {
    server: resource.url,
    profile: 'default',
    clientId: undefined,
    clientSecret: undefined,
    scope: undefined,
    resource: undefined,
    authParams: {},
    metadata: undefined,
    redirectHost: '127.0.0.1',
    redirectPort: undefined,
    assumePkce: false,
    switchAccount: false,
    allowHttp: [],
  };

  const world: World = {
    issuer,
    resource,
    shared,
    configDir,
    settings,
    clock,
    process(kind = 'keychain') {
      const http = createHttpClient({ userAgent: 'test' });
      clients.push(http);
      const lines: string[] = [];
      const opened: string[] = [];
      const it: Process = {
        http,
        vault: sharedVault(shared, kind),
        index: sharedIndex(shared.index),
        locks: sharedLocks(shared.held),
        log: createLog({ level: 'debug', write: (line) => void lines.push(line) }),
        now: () => Date.now() + clock.wall,
        monotonic: () => performance.now() + clock.monotonic,
        configDir,
        lines,
        opened,
        browse: visit,
        async openBrowser(url) {
          opened.push(url);
          it.browse(url).catch(() => {});
          return true;
        },
      };
      return it;
    },
    login: (edges, how = {}, more = {}) =>
      login(
        edges,
        { ...world.settings, ...more },
        { browser: 'open', onUrl: () => {}, timeoutMs: 10_000, ...how },
      ),
    keep(server) {
      servers.push(server);
      return server;
    },
    async close() {
      for (const client of clients) client.close();
      await Promise.all(servers.map((server) => server.close()));
      await rm(configDir, { recursive: true, force: true });
    },
  };
  return world;
}

/** The AppError that `promise` rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<AppError> {
  const outcome = await promise.then(
    (value) => new Error(`expected a failure, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof AppError) return outcome;
  throw outcome;
}

/** Waits until `condition` holds. */
export async function until(condition: () => unknown, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
