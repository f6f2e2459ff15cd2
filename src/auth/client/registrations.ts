import { join } from 'node:path';
import { AppError, reasonOf } from '../../lib/errors.ts';
import { readFileIfThere, writeFileAtomically } from '../../lib/files.ts';
import { isObject, type JsonObject, parseJsonObject, stringMember } from '../../lib/json.ts';
import { entryKey } from '../../vault/key.ts';
import type { SignInEdges } from '../edges.ts';
import { parseClient, printClient } from '../tokens/token-set.ts';
import type { Client } from './client.ts';

/** A client that we registered dynamically at one issuer. */
export interface Registration {
  readonly issuer: string;
  readonly client: Client;
  /** What it was registered with: servers that compare it exactly want the same port again. */
  readonly redirectUri: string;
  /** When the secret ends; undefined: never, or there is none. Milliseconds since the epoch. */
  readonly secretExpiresAt: number | undefined;
}

/** How a client signs people in: a registration is made for one of them (RFC 7591 2, `grant_types`). */
export type Flow = 'code' | 'device';

/** `registrations.json` in the configuration folder, by issuer and flow; the secrets are in the vault. */
export interface Registrations {
  /** Default: `code`, here as below. */
  get(issuer: string, flow?: Flow): Promise<Registration | undefined>;
  put(registration: Registration, flow?: Flow): Promise<void>;
  /** Forgets the registration with this client id; another one is left alone. */
  remove(issuer: string, clientId: string): Promise<void>;
}

type Edges = Pick<SignInEdges, 'vault' | 'locks' | 'configDir' | 'log'>;

const lockMs = 10_000;

/** An issuer has no fragment (RFC 8414 2). */
const slotOf = (issuer: string, flow: Flow = 'code') => (flow === 'code' ? issuer : `${issuer}#${flow}`);

export function openRegistrations({ vault, locks, configDir, log }: Edges): Registrations {
  const path = join(configDir, 'registrations.json');
  const secretKey = (issuer: string, clientId: string) =>
    entryKey({ resource: issuer, issuer, profile: clientId, purpose: 'client-secret' });

  async function read(): Promise<Map<string, JsonObject>> {
    try {
      const text = await readFileIfThere(path);
      const members = text === undefined ? {} : parseJsonObject(text, path);
      return new Map(
        Object.entries(members).filter((pair): pair is [string, JsonObject] => isObject(pair[1])),
      );
    } catch (error) {
      log.warn('the file of client registrations cannot be read; clients are registered anew', {
        path,
        reason: reasonOf(error),
      });
      return new Map();
    }
  }

  async function change(apply: (all: Map<string, JsonObject>) => void): Promise<void> {
    const lock = await locks.acquire('registrations', lockMs);
    try {
      const all = await read();
      apply(all);
      await writeFileAtomically(path, `${JSON.stringify(Object.fromEntries(all), undefined, 2)}\n`);
    } catch (cause) {
      if (cause instanceof AppError) throw cause;
      throw new AppError('vault_failed', `cannot write ${path}: ${reasonOf(cause)}`, { cause });
    } finally {
      await lock.release();
    }
  }

  return {
    async get(issuer, flow) {
      const kept = (await read()).get(slotOf(issuer, flow));
      const client = kept && parseClient(isObject(kept.client) ? kept.client : undefined);
      const redirectUri = kept && stringMember(kept, 'redirectUri');
      if (!client || !redirectUri || !URL.canParse(redirectUri)) return undefined;
      const end = kept.secretExpiresAt;
      const hasSecret = client.authMethod !== 'none' && !client.key;
      const secret = hasSecret ? await vault.load(secretKey(issuer, client.id)) : undefined;
      // A secret that is gone makes the registration useless.
      if (hasSecret && !secret) return undefined;
      return {
        issuer,
        client: { ...client, secret },
        redirectUri,
        secretExpiresAt: typeof end === 'number' ? end : undefined,
      };
    },
    async put({ issuer, client, redirectUri, secretExpiresAt }, flow) {
      if (client.secret) await vault.save(secretKey(issuer, client.id), client.secret);
      const { secret: _, ...open } = printClient(client);
      const kept = { client: open, redirectUri, secretExpiresAt };
      await change((all) => void all.set(slotOf(issuer, flow), kept));
    },
    async remove(issuer, clientId) {
      await change((all) => {
        for (const slot of [slotOf(issuer), slotOf(issuer, 'device')]) {
          const kept = all.get(slot)?.client;
          if (isObject(kept) && kept.id === clientId) all.delete(slot);
        }
      });
      await vault.remove(secretKey(issuer, clientId));
    },
  };
}
