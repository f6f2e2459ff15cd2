import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { AppError, reasonOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { Secret } from '../lib/secret.ts';
import type { ServerCertificate } from '../lib/settings.ts';
import { display } from '../lib/text.ts';

/** From here on a renewal that has not come is worth a word. Milliseconds. */
const soon = 7 * 24 * 60 * 60_000;

/**
 * What `--tls-cert` and `--tls-key` name; `undefined` where neither is given. Throws AppError `usage` for one without
 * the other, for files that cannot be read or hold something else, and for a key of another certificate.
 */
export async function readServerCertificate(
  certFile: string | undefined,
  keyFile: string | undefined,
): Promise<ServerCertificate | undefined> {
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    const [given, missing] = certFile ? ['--tls-cert', '--tls-key'] : ['--tls-key', '--tls-cert'];
    throw new AppError('usage', `${given} needs ${missing}`, { hint: '--tls-cert FILE --tls-key FILE' });
  }
  const cert = await readText('--tls-cert', certFile);
  const key = await readText('--tls-key', keyFile);
  const leaf = parse('--tls-cert', certFile, 'holds no certificate', () => new X509Certificate(cert));
  const privateKey = parse('--tls-key', keyFile, 'holds no private key without a passphrase', () =>
    createPrivateKey(key),
  );
  if (!leaf.checkPrivateKey(privateKey)) {
    throw unfit('--tls-key', keyFile, `is not the key of the certificate in ${display(certFile, 200)}`);
  }
  // What TLS itself finds wrong, such as a key that is too short, is better heard of now than by a client.
  parse('--tls-cert', certFile, 'cannot be used', () => createSecureContext({ cert, key }));
  return { cert, key: new Secret(key) };
}

/** Warns of a certificate that has run out, is not yet good, or soon runs out. */
export function warnOfValidity({ cert }: ServerCertificate, log: Log, now: number): void {
  const { validFrom, validTo } = new X509Certificate(cert);
  const left = Date.parse(validTo) - now;
  if (left < 0) log.warn('the certificate of --tls-cert has run out', { at: validTo });
  else if (Date.parse(validFrom) > now)
    log.warn('the certificate of --tls-cert is not good yet', { from: validFrom });
  else if (left < soon) log.warn('the certificate of --tls-cert runs out soon', { at: validTo });
}

async function readText(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw unfit(flag, path, `cannot be read: ${reasonOf(cause)}`, cause);
  }
}

function parse<T>(flag: string, path: string, why: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unfit(flag, path, why, cause);
  }
}

function unfit(flag: string, path: string, why: string, cause?: unknown): AppError {
  return new AppError('usage', `${flag}: ${display(path, 200)} ${why}`, {
    hint: 'name PEM files: the certificate with its chain, and its private key',
    cause,
  });
}
