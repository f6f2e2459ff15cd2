import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

export type Reply = (response: ServerResponse) => void;

/** Each member replaces a part of the honest behaviour. Set them at any time. */
export interface Behaviour {
  metadata?: (honest: Record<string, unknown>) => unknown;
  /** Well-known paths that answer; default: the OpenID appended form. */
  metadataAt?: readonly string[];
  /** Parameters of the redirect back; undefined: no redirect at all. */
  authorize?: (back: Record<string, string>, asked: URLSearchParams) => Record<string, string> | undefined;
  /** Answers the token request instead; undefined: go on honestly. */
  token?: (form: URLSearchParams, request: Seen) => Reply | undefined;
  /** Changes an honest token answer. */
  grant?: (answer: Record<string, unknown>) => Record<string, unknown>;
  /** Members of an honest registration's answer. */
  registered?: Record<string, unknown>;
  register?: (asked: Record<string, unknown>) => Reply | undefined;
  push?: (form: URLSearchParams) => Reply | undefined;
  /** Only pushed authorization requests are taken. */
  pushedOnly?: boolean;
  revoke?: (form: URLSearchParams) => Reply | undefined;
  /** There is a device flow, and this is its honest answer, changed or replaced. */
  device?: (honest: Record<string, unknown>, form: URLSearchParams) => Record<string, unknown> | Reply;
  userinfo?: () => Reply;
  /** Seconds; default 3600. */
  lifetime?: number;
  /** How far its clock is ahead of ours. Milliseconds. */
  clock?: number;
}
