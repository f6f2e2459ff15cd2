import type { RequestRecord } from './record.ts';
import type { VerificationEvent } from './verify/events.ts';

/** Why a stream is no more, as the metrics name it. */
export const sessionEnds = ['client', 'idle', 'age', 'token_expired', 'user_limit', 'slow', 'drain'] as const;
export type SessionEnd = (typeof sessionEnds)[number];

/** What happens in the server, for whoever logs or counts it. */
export type ServerEvent =
  | VerificationEvent
  /** A request was answered, or a stream opened. The record is its own: look, and let go. */
  | { readonly name: 'request'; readonly record: RequestRecord }
  /** `milliseconds`: how long the stream was open. */
  | { readonly name: 'session_closed'; readonly reason: SessionEnd; readonly milliseconds: number };

/** Takes each event as it happens. It must be quick, and must not throw. */
export type ServerObserver = (event: ServerEvent) => void;

/** Tells every observer that there is. */
export function tellAll(observers: readonly (ServerObserver | undefined)[]): ServerObserver {
  const present = observers.filter((observer) => observer !== undefined);
  const [only] = present;
  if (only && present.length === 1) return only;
  return (event) => {
    for (const observer of present) observer(event);
  };
}
