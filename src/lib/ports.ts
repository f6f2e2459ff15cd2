import { createServer } from 'node:net';
import { AppError, hasCode, reasonOf } from './errors.ts';

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
  const detail = { cause: error, hint: `choose another one with ${flag} PORT` };
  if (hasCode(error, 'EADDRINUSE')) {
    return new AppError(
      'port_taken',
      `port ${port} on ${host} is taken: something else listens there`,
      detail,
    );
  }
  if (hasCode(error, 'EACCES')) {
    return new AppError('port_taken', `port ${port} on ${host} is not yours to listen on`, detail);
  }
  return new AppError('port_taken', `${host} is no address of this machine (${reasonOf(error)})`, {
    cause: error,
    hint: 'choose one with --host: 127.0.0.1, 0.0.0.0 for all, or what your system lists',
  });
}
