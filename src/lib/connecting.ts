import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';

/** Whether nothing of a request can have left this machine. */
export function isConnecting({ socket }: ClientRequest): boolean {
  const { connecting, secureConnecting } = (socket ?? { connecting: true }) as Partial<
    Socket & { secureConnecting: boolean }
  >;
  return connecting === true || secureConnecting === true;
}

/** Tells `aborted` at once when the signal comes before there is a socket. */
export function whileConnecting(
  outgoing: ClientRequest,
  signal: AbortSignal,
  aborted: (reason: unknown) => void,
): void {
  const tell = () => aborted(signal.reason);
  signal.addEventListener('abort', tell, { once: true });
  for (const over of ['socket', 'close'])
    outgoing.once(over, () => signal.removeEventListener('abort', tell));
}

/** `reason` as the system would say it of a connection that never stood. */
export const neverConnected = (reason: Error) =>
  Object.assign(new Error(reason.message), { code: 'ETIMEDOUT', syscall: 'connect' });
