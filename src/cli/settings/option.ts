import { AppError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { display, nearest } from '../../lib/text.ts';

/** A part of a JSON schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One setting: how it is named on each level, how its text is read, and what the help says. */
export interface Option<T> {
  /** The flag's name without dashes; absent for what must never be on a command line. */
  readonly flag?: string;
  /** The letter that stands for the flag after one dash. */
  readonly short?: string;
  /** Placeholder of the flag's value in the help; absent: a switch. */
  readonly value?: string;
  /** Environment variables, the first one set wins. An empty one counts as unset. */
  readonly variables?: readonly string[];
  /** The member of the configuration file; absent: not settable there. */
  readonly member?: string;
  /** In the file it stands with its server: at the top it would give every server what is meant for one. */
  readonly ofOneServer?: boolean;
  /** The flag may be given several times; comma separated in a variable. */
  readonly repeatable?: boolean;
  readonly help: string;
  /** What the member of the file may hold; default: a text. */
  readonly json?: JsonSchema;
  /** In: the texts given (one, or several when repeatable) and the name to blame. Throws AppError `usage`. */
  read(texts: readonly string[], from: string): T;
}

type Common = Pick<Option<unknown>, 'flag' | 'value' | 'variables' | 'member' | 'help'>;

/** A list of texts, or the only one. */
export const jsonTexts: JsonSchema = { type: ['string', 'array'], items: { type: 'string' } };
/** The same, or an object: `{"name": "value"}` for `name=value`. */
export const jsonPairs: JsonSchema = {
  type: ['string', 'array', 'object'],
  items: { type: 'string' },
  additionalProperties: {
    type: ['string', 'number', 'boolean', 'array'],
    items: { type: ['string', 'number', 'boolean'] },
  },
};

const wrong = (from: string, text: string, wanted: string, hint?: string) =>
  new AppError('usage', `${from}: "${display(text, 80)}" is not ${wanted}`, { hint });

const last = (texts: readonly string[]) => texts.at(-1) ?? '';

/** A text that is taken as it is. */
export const text = (common: Common): Option<string> => ({ ...common, read: last });

/** A value that must not be shown. */
export const secret = (common: Common): Option<Secret> => ({
  ...common,
  read: (texts) => new Secret(last(texts)),
});

/** A flag without a value; as a variable `1`, `true`, `yes`, `0`, `false`, `no`. */
export const toggle = (common: Omit<Common, 'value'>): Option<boolean> => ({
  ...common,
  json: { type: 'boolean' },
  read(texts, from) {
    const given = last(texts).toLowerCase();
    if (['1', 'true', 'yes', 'on'].includes(given)) return true;
    if (['0', 'false', 'no', 'off'].includes(given)) return false;
    throw wrong(from, given, 'one of true, false');
  },
});

/** One word of a list. */
export const oneOf = <const W extends string>(words: readonly W[], common: Common): Option<W> => ({
  ...common,
  json: { enum: words },
  read(texts, from) {
    const given = last(texts);
    const found = words.find((word) => word === given);
    if (found !== undefined) return found;
    const near = nearest(given, words);
    throw wrong(from, given, `one of ${words.join(', ')}`, near && `did you mean ${near}?`);
  },
});

/** A whole number within bounds, both included. */
export const integer = (min: number, max: number, common: Common): Option<number> => ({
  ...common,
  json: { type: 'integer', minimum: min, maximum: max },
  read(texts, from) {
    const given = last(texts);
    const number = /^\d{1,12}$/.test(given) ? Number(given) : Number.NaN;
    if (!(number >= min && number <= max)) throw wrong(from, given, `a number from ${min} to ${max}`);
    return number;
  },
});

/** A number of seconds, fractions allowed, read as milliseconds. */
export const seconds = (min: number, max: number, common: Common): Option<number> => ({
  ...common,
  json: { type: 'number', minimum: min, maximum: max },
  read(texts, from) {
    const given = last(texts);
    const number = /^\d{1,9}(\.\d{1,3})?$/.test(given) ? Number(given) : Number.NaN;
    if (!(number >= min && number <= max))
      throw wrong(from, given, `a number of seconds from ${min} to ${max}`);
    return Math.round(number * 1000);
  },
});

/** An absolute http or https URL without user part or fragment. */
export const webUrl = (common: Common): Option<URL> => ({
  ...common,
  json: { type: 'string', format: 'uri' },
  read: (texts, from) => readWebUrl(last(texts), from),
});

export function readWebUrl(given: string, from: string): URL {
  const hint = /^[\w.-]+(:\d+)?(\/|$)/.test(given)
    ? `write it whole: https://${display(given, 80)}`
    : undefined;
  if (!URL.canParse(given)) throw wrong(from, given, 'a URL', hint);
  const url = new URL(given);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw wrong(from, given, 'an http or https URL', hint);
  if (url.username || url.password) throw wrong(from, redactUser(url), 'allowed: it carries a user name');
  if (url.hash) throw wrong(from, given, 'allowed: it has a fragment');
  return url;
}

function redactUser(url: URL): string {
  return `${url.protocol}//…@${url.host}${url.pathname}`;
}

/** Several texts, each checked. */
export const several = <T>(
  each: (text: string, from: string) => T,
  common: Common,
): Option<readonly T[]> => ({
  ...common,
  repeatable: true,
  json: jsonTexts,
  read: (texts, from) => texts.map((one) => each(one, from)),
});
