import type { Client } from '../client/client.ts';

/**
 * `text` without the secrets that were sent, client assertions among them: a server may echo them as they came, in the
 * encoding of a form or of a URL too.
 */
export function without(text: string, secrets: readonly string[]): string {
  const kept = text
    .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '[redacted]')
    .replace(/\b(basic +)[\w+/=-]{8,}/gi, '$1[redacted]');
  const all = secrets.filter(Boolean).flatMap((secret) => [secret, ...encodingsOf(secret)]);
  // The longest first: one may be a part of another.
  return all
    .sort((a, b) => b.length - a.length)
    .reduce((rest, one) => rest.replaceAll(one, '[redacted]'), kept);
}

/** What goes into the Authorization header for a client's secret, with and without the encoding of RFC 6749 2.3.1. */
export function basicCredentialsOf({ id, secret }: Client): readonly string[] {
  if (!secret) return [];
  const password = secret.reveal();
  const pairs = [`${id}:${password}`, `${formEncoded(id)}:${formEncoded(password)}`];
  return pairs.map((pair) => Buffer.from(pair).toString('base64'));
}

function encodingsOf(secret: string): readonly string[] {
  const form = formEncoded(secret);
  const url = encodeURIComponent(secret);
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  return [form, url, lower(form), lower(url)];
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}
