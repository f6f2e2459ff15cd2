import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { AppError, reasonOf } from '../lib/errors.ts';
import type { HttpClient } from '../lib/http.ts';
import { display } from '../lib/text.ts';
import type { Context } from './context.ts';

/** A file, and what named it. */
export interface AuthorityFile {
  readonly path: string;
  readonly from: string;
}

/**
 * The way out to the network that trusts the certificate authorities of `--ca` beside those that Node trusts; the
 * context's own where it names none. Throws AppError `usage` for a file that holds no certificate.
 */
export async function httpTrusting(
  { http, environment }: Pick<Context, 'http' | 'environment'>,
  files: readonly AuthorityFile[] | undefined,
): Promise<HttpClient> {
  if (!files || files.length === 0) return http;
  const authorities = (await Promise.all(files.map(readAuthorities))).flat();
  // A list of our own replaces what Node has read from this file; when it cannot, it has said so.
  const extra = environment.NODE_EXTRA_CA_CERTS;
  const more = extra ? await readAuthorities({ path: extra, from: '' }).catch(() => []) : [];
  return http.fork({ authorities: [...authorities, ...more] });
}

const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM file, of which there may be several, or of a DER file. As PEM texts. */
async function readAuthorities({ path, from }: AuthorityFile): Promise<readonly string[]> {
  const cannot = (why: string, cause?: unknown) =>
    new AppError('usage', `${from}: ${display(path, 200)} ${why}`, {
      hint: "name the PEM file with the certificate authority's certificate",
      cause,
    });
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (cause) {
    throw cannot(`cannot be read: ${reasonOf(cause)}`, cause);
  }
  const found = content.toString('latin1').match(pem) ?? [content];
  try {
    return found.map((one) => new X509Certificate(one).toString());
  } catch (cause) {
    throw cannot('holds no certificate', cause);
  }
}
