import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Identity } from '../../lib/identity.ts';

export type { Identity };

/** How the tokens of an authorization server are verified, and which of its users may call. */
export interface Rules {
  /** Default: `auto`, chosen by what the authorization server's metadata offers. */
  readonly verify?: 'auto' | 'jwt' | 'userinfo' | 'introspection' | undefined;
  /** The audience that tokens must have (RFC 9068 4, RFC 7662 2.2). Default: the `resource`. */
  readonly audience?: string | undefined;
  /**
   * Scopes that every request needs, as a list or separated by spaces; an empty list: none. Default: `openid
   * profile` where the authorization server speaks OpenID Connect, else none.
   */
  readonly requiredScope?: string | readonly string[] | undefined;
  /**
   * Claims that a caller must have, all of them; each by its name, with the value or the values that will do. A
   * claim that is a list has it when one of its members does. Default: everybody may call.
   */
  readonly allow?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** Our client at the introspection endpoint (RFC 7662 2.1). */
  readonly introspection?: { readonly clientId: string; readonly clientSecret: string } | undefined;
  /** URL or file of the metadata of a provider without discovery. */
  readonly metadata?: string | undefined;
  /** The endpoint that tells who a token belongs to, where the metadata has none. */
  readonly userinfoUrl?: string | undefined;
}

/** One of several authorization servers, with rules of its own. */
export interface IssuerOptions extends Rules {
  /** Its issuer identifier, as its tokens and its metadata write it (RFC 8414 2). */
  readonly issuer: string;
}

/** What a gate is made of. The rules hold for each issuer that does not say otherwise. */
export interface GateOptions extends Rules {
  /**
   * The URL of the protected MCP endpoint, as clients type it: the resource identifier (RFC 9728 2). Several
   * endpoints of one server have one origin, and the first one is named where a path tells nothing. A plain http URL
   * on loopback stands for `localhost`, `127.0.0.1` and `[::1]` alike.
   */
  readonly resource: string | readonly string[];
  /** Whose access tokens are taken. */
  readonly issuer: string | readonly (string | IssuerOptions)[];
  /** What people read where the resource is named (RFC 9728 2, `resource_name`). Default: `MCP server`. */
  readonly name?: string | undefined;
  /** The claims that `Identity.claims` has beside `sub` and `iss`. Default: all. */
  readonly claims?: readonly string[] | undefined;
  /** How long a verdict that has run out serves while the authorization server fails. Seconds; default 300; 0: off. */
  readonly stale?: number | undefined;
  /** Browser origins that are let in beside the resource's own; with a resource on loopback any of loopback is. */
  readonly allowOrigin?: readonly string[] | undefined;
  /** Values of the Host header that are let in beside the resource's own: what a proxy in front may send. */
  readonly allowHost?: readonly string[] | undefined;
  /**
   * Proxies whose `X-Forwarded-For` is believed, by address, subnet or `loopback`: it names the caller, whose bad
   * tokens are counted. For Node's requests; nobody knows the address behind a fetch request.
   */
  readonly trustProxy?: readonly string[] | undefined;
  /** Sessions belong to who opened them, and are nobody else's. Default: true. See `docs/library.md`. */
  readonly bindSessions?: boolean | undefined;
  /**
   * Leaves the access token in the request's `Authorization` header, and puts it into `AuthInfo.token`, for a server
   * that exchanges it (RFC 8693). It must never be sent on. Default: false, the token ends at the gate.
   */
  readonly passToken?: boolean | undefined;
  /** Certificate authorities to trust beside Node's own, as PEM texts. */
  readonly ca?: string | readonly string[] | undefined;
  /** Takes what happens, one entry an event. It must not throw. Default: nothing is logged. */
  readonly log?: ((entry: LogEntry) => void) | undefined;
}

/** One event. Text from outside is in the fields alone, and free of control characters; a token is nowhere. */
export interface LogEntry {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Who is calling, in the form of the MCP SDK: what its transports look for in `req.auth`, and what its tools get as
 * `extra.authInfo`.
 */
export interface AuthInfo {
  /** Empty, unless `passToken` is set. */
  token: string;
  /** Empty when the authorization server does not tell. */
  clientId: string;
  scopes: string[];
  /** Seconds since the epoch. */
  expiresAt?: number;
  /** The resource that was asked for. */
  resource: URL;
  /** The rest of the `Identity`. */
  extra: { issuer: string; subject: string; claims: Readonly<Record<string, unknown>> };
}

/** What comes with a fetch request that was let in. */
export interface Admitted {
  readonly authInfo: AuthInfo;
  readonly identity: Identity;
}

/** Answers a fetch request that was let in. */
export type FetchHandler = (request: Request, admitted: Admitted) => Response | Promise<Response>;

/** Answers one of Node's requests that was let in. */
export type NodeHandler = (
  request: IncomingMessage & { auth: AuthInfo },
  response: ServerResponse,
) => void | Promise<void>;

/**
 * Stands in front of an MCP server. It answers the metadata routes (RFC 9728, and RFC 8414 for clients of the
 * 2025-03-26 revision), preflight requests, and whatever does not come in: 401, 403, 404, 429, 503. All that it lets
 * through has been sent by somebody whom it knows.
 */
export interface Gate {
  /**
   * For Express and Connect, mounted at the root, before what it protects; routes that are mounted earlier are
   * public. Sets `req.auth`.
   */
  readonly middleware: (
    request: IncomingMessage,
    response: ServerResponse,
    next: (error?: unknown) => void,
  ) => void;
  /** For `node:http`: wraps the handler of a server. Sets `request.auth`. */
  node(handler: NodeHandler): RequestListener;
  /** For what speaks fetch (Hono, Bun, Deno): wraps the handler of a server. */
  fetch(handler: FetchHandler): (request: Request) => Promise<Response>;
  /**
   * Resolves when every authorization server is known and its keys are here. Rejects with an error (`code`, `hint`)
   * when what one publishes is unfit; the gate goes on looking, and answers 503 to its tokens. Nobody has to wait for
   * it.
   */
  readonly ready: Promise<void>;
  /** Whether the tokens of at least one authorization server can be verified: for a readiness probe. */
  isReady(): boolean;
  /** Ends what runs in the background. Requests that come later are answered by what is known. */
  close(): void;
}
