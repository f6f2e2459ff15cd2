import { AppError } from './errors.ts';

export type JsonObject = { readonly [key: string]: unknown };

const maxDepth = 64;

/**
 * Parses JSON that somebody else wrote.
 *
 * In: the text, and whom it came from (for the message). Out: a JSON object. Throws AppError with `code` when
 * the text is not JSON, not an object, or nested deeper than 64 levels. Members named `__proto__` are dropped,
 * so that no lookup can find something that the document only inherited.
 */
export function parseJsonObject(
  text: string,
  from: string,
  code: 'metadata_invalid' | 'remote_error' = 'metadata_invalid',
): JsonObject {
  if (nestsDeeperThan(text, maxDepth)) throw new AppError(code, `${from} answered JSON nested too deeply`);
  let value: unknown;
  try {
    value = JSON.parse(text, (key, member) => (key === '__proto__' ? undefined : member));
  } catch {
    // The parser's own error quotes the text: a secret, or an escape sequence, would be in the private cause.
    throw new AppError(code, `${from} did not answer JSON`);
  }
  if (!isObject(value)) throw new AppError(code, `${from} answered JSON that is no object`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The member `key` when it is a non-empty string. Never looks at inherited members. */
export function stringMember(object: JsonObject, key: string): string | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The strings of the array member `key`; undefined when there is no array. */
export function stringsMember(object: JsonObject, key: string): readonly string[] | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : undefined;
}

/** Counts brackets outside strings, without recursion: safe to run before JSON.parse on hostile text. */
export function nestsDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > limit) return true;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return false;
}
