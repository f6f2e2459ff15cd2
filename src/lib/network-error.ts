import { AppError, hasCode, reasonOf } from './errors.ts';
import { display } from './text.ts';

/** What a failed connection means to a person, without "fetch failed". */
export function describeNetworkError(error: unknown, url: URL): string {
  if (error instanceof AppError) return error.message;
  if (hasCode(error, 'ECONNREFUSED')) return `nothing listens at ${url.origin}`;
  if (hasCode(error, 'ENOTFOUND', 'EAI_AGAIN')) return `the name ${url.hostname} cannot be resolved`;
  if (hasCode(error, 'ECONNRESET', 'EPIPE')) return `${url.origin} closed the connection`;
  if (hasNoIpv6(error, url))
    return `${url.origin} cannot be reached: this machine has no way to IPv6 addresses`;
  if (hasCode(error, 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH')) return `${url.origin} does not answer`;
  const reason = display(reasonOf(error), 200);
  if (isCertificateRefusal(error)) return `the certificate of ${url.host} is not trusted (${reason})`;
  if (isTlsRefusal(error))
    return `no TLS connection to ${url.host} can be made (${wordsOfOpenSsl(reason) ?? reason})`;
  return `${url.origin} cannot be reached (${reason})`;
}

/**
 * The next step after a failed connection, where the failure itself tells one. In: `now`, the wall clock in
 * milliseconds: a certificate's time is judged by it, and it may be wrong.
 */
export function networkHint(error: unknown, now: number = Date.now()): string | undefined {
  if (error instanceof AppError) return error.hint;
  if (hasCode(error, 'ERR_TLS_CERT_ALTNAME_INVALID')) {
    return 'use the host name that the certificate was made for';
  }
  if (hasCode(error, 'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID')) {
    const clock = new Date(now)
      .toISOString()
      .replace(/:\d\d\..*$/, ' UTC')
      .replace('T', ' ');
    return `whoever runs the server has to renew it, unless this machine's clock is wrong: it says ${clock}`;
  }
  if (isCertificateRefusal(error)) {
    return 'for a private certificate authority add --ca FILE (its PEM file; login remembers it), or set NODE_EXTRA_CA_CERTS';
  }
  if (isTlsRefusal(error)) return 'check the port and the URL, and that https is spoken there';
  return undefined;
}

const hasNoIpv6 = (error: unknown, { hostname }: URL) =>
  hostname.startsWith('[') && hasCode(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH');

/** No connection stood: nothing of the request has left this machine. */
export function neverSent(error: unknown): boolean {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const syscall = (first as { syscall?: unknown } | undefined)?.syscall;
  return syscall === 'connect' || syscall === 'getaddrinfo' || hasCode(first, 'ECONNREFUSED', 'ENOTFOUND');
}

/** TLS came to nothing: nothing was sent, and another try would end the same way. */
export function isTlsRefusal(error: unknown): boolean {
  return isCertificateRefusal(error) || /^(?:ERR_TLS_|ERR_SSL_|EPROTO$)/.test(codeOf(error));
}

/** Of `write EPROTO 80…:error:0A00010B:SSL routines:FUNCTION:WORDS:FILE:LINE:` the words alone. */
const wordsOfOpenSsl = (reason: string) => /:SSL routines:[^:]*:([^:]+):/.exec(reason)?.[1];

function isCertificateRefusal(error: unknown): boolean {
  return /^(?:ERR_TLS_CERT_|CERT_|SELF_SIGNED|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/.test(
    codeOf(error),
  );
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
