import type { Log } from '../lib/log.ts';

export interface DemoProviderOptions {
  /** A loopback host: `127.0.0.1`, `localhost`, `[::1]`. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Folder for keys and state (0600 files), which survive a restart. Made (0700) when it is not there. */
  readonly stateDir: string;
  /** The resource identifiers accepted right now (RFC 8707 2); asked anew for each request. */
  readonly resources: () => readonly string[];
  readonly log: Log;
  /** How long access tokens live. Seconds; default 600. */
  readonly accessTokenSeconds?: number;
  /** A confidential client that may introspect everybody's tokens (RFC 7662). Default: none. */
  readonly introspectionClient?: { readonly id: string; readonly secret: string };
  /** Client id metadata documents known without asking the network, by client id. */
  readonly clientDocuments?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface DemoProvider {
  /** The issuer identifier, `http://HOST:PORT/oidc`. */
  readonly issuer: string;
  /** Stops listening, ends open connections, writes the state. Safe to call twice. */
  close(): Promise<void>;
}

export const defaultAccessTokenSeconds = 600;
