import { createServer } from 'node:net';
import { AppError, hasCode } from './errors.ts';

/** Throws AppError `port_taken` when something listens on `port` already. Port 0 is always free. */
export function assertPortFree(host: string, port: number, flag: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(listenError(error, host, port, flag)));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}

/** What a failed `listen` means to a person. In: the error, the address, the flag that names another port. */
export function listenError(error: unknown, host: string, port: number, flag: string): AppError {
  const why = hasCode(error, 'EADDRINUSE')
    ? 'is taken: something else listens there'
    : hasCode(error, 'EACCES')
      ? 'is not yours to listen on'
      : 'cannot be listened on';
  return new AppError('port_taken', `port ${port} on ${host} ${why}`, {
    cause: error,
    hint: `choose another one with ${flag} PORT`,
  });
}
