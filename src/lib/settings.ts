import type { Secret } from './secret.ts';

/**
 * The settings as the rooms see them: parsed and validated once, at the edge (`cli/settings`), from flag,
 * variable, configuration file and default, in that order; frozen. Each room is handed its own slice.
 */

export type RemoteTransport = 'auto' | 'http' | 'sse';

/** Reaching one remote MCP server. */
export interface RemoteSettings {
  /** The MCP endpoint, as the user gave it. */
  readonly server: URL;
  /** Whose sign-in it is, for the line to type. Default: `default`. */
  readonly profile?: string;
  readonly transport: RemoteTransport;
  /** Further request headers (`--header`), never `authorization`. Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** The longest silent call. Milliseconds. */
  readonly timeoutMs: number;
  /** The largest message in either direction. Bytes. */
  readonly maxMessageBytes: number;
}

/** Signing in to one protected resource. */
export interface SignInSettings {
  readonly server: URL;
  readonly profile: string;
  readonly clientId: string | undefined;
  readonly clientSecret: Secret | undefined;
  /** The file of the client's private key, absolute: the client proves itself with it (`private_key_jwt`). */
  readonly clientKey?: string | undefined;
  /** The client signs in for itself, without a person (RFC 6749 4.4). Default: a person does. */
  readonly clientCredentials?: boolean;
  /** Space separated; `undefined`: what the server asks for. */
  readonly scope: string | undefined;
  /** RFC 8707 resource indicator; `none`: the parameter is left out; `undefined`: the one of the metadata. */
  readonly resource: string | undefined;
  readonly authParams: Readonly<Record<string, string>>;
  /** URL or file of authorization server metadata, for a provider without discovery. */
  readonly metadata: string | undefined;
  readonly redirectHost: '127.0.0.1' | 'localhost' | '[::1]';
  /** `undefined`: a free port, or that of an earlier registration. */
  readonly redirectPort: number | undefined;
  readonly assumePkce: boolean;
  readonly switchAccount: boolean;
  readonly allowHttp: readonly string[];
  /** A public server may name an authorization server in a private network (VPN, compose). Default: it may not. */
  readonly allowPrivateNetwork?: boolean;
}

export type VerifyMethod = 'auto' | 'jwt' | 'userinfo' | 'introspection';

/** Our own client at an authorization server's introspection endpoint (RFC 7662 2.1). */
export interface ClientCredentials {
  readonly id: string;
  readonly secret: Secret;
}

/** One claim that a caller must have, and the values of it that will do. */
export interface ClaimRule {
  readonly claim: string;
  readonly values: readonly string[];
}

/** How the tokens of one authorization server are verified, and which of its users may call. */
export interface IssuerRules {
  /** URL or file of its metadata, for a provider without discovery. */
  readonly metadata: string | undefined;
  readonly userinfoUrl: string | undefined;
  readonly verify: VerifyMethod;
  /** Expected audience; `undefined`: the server's own resource URIs. */
  readonly audience: string | undefined;
  /** Scopes every call needs; `undefined`: the default for the kind of provider; empty: none. */
  readonly requiredScope: readonly string[] | undefined;
  /** All of them must match. Empty: everybody may call. */
  readonly allow: readonly ClaimRule[];
  readonly introspection: ClientCredentials | undefined;
}

export interface IssuerSettings extends IssuerRules {
  /** The issuer identifier, as it was typed: it is compared byte by byte (RFC 8414 3.3). */
  readonly issuer: string;
}

/** A certificate with its chain, and its private key, as PEM texts. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: Secret;
}

/** The protected whoami server. */
export interface ServerSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The authorization servers whose tokens are taken; empty with `noAuth` only. */
  readonly issuers: readonly IssuerSettings[];
  /** The claims that `whoami` shows beside `sub` and `iss`; `undefined`: all. */
  readonly claims: readonly string[] | undefined;
  readonly publicUrl: URL | undefined;
  /** A client registered at the authorization server for the page at `/`; `undefined`: it registers itself. */
  readonly pageClientId: string | undefined;
  readonly allowOrigin: readonly string[];
  /** How long a positive verdict may serve while the provider fails. Milliseconds; 0: not at all. */
  readonly staleMs: number;
  /** Streams of this process. */
  readonly maxSessions: number;
  /** URL of the Redis that replicas share, with its password; `undefined`: one process, everything in memory. */
  readonly redis: Secret | undefined;
  /** The MCP server that this is the gate of; `undefined`: our own, with the tool `whoami`. */
  readonly upstream: URL | undefined;
  /** Pause between "not ready" and the end of accepting, at SIGTERM. Milliseconds. */
  readonly drainDelayMs: number;
  /** What the server proves itself with, where it speaks TLS itself. */
  readonly tls: ServerCertificate | undefined;
  /** Addresses and subnets of the proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy: readonly string[];
  /** Requests a second that one user may make for long; `undefined`: any number. */
  readonly userRate: number | undefined;
  /** Port of `/metrics`; 0: any free one; `undefined`: there are none. */
  readonly metricsPort: number | undefined;
  /** Which requests have a line of the log at level info. */
  readonly logRequests: 'all' | 'failed';
  readonly noAuth: boolean;
}
