import { parseArgs } from 'node:util';
import { AppError } from '../../lib/errors.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';
import { display, nearest } from '../../lib/text.ts';
import type { Option } from './option.ts';

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The value of each option of a table; `undefined` where no level names it. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: (T[K] extends Option<infer V> ? V : never) | undefined;
};

export interface Given {
  readonly positionals: readonly string[];
  /** The texts of each flag on the command line, by flag name. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
}

/** Splits a command's arguments by its table. Throws AppError `usage` with the nearest known flag. */
export function readArguments(argv: readonly string[], table: OptionTable, maxPositionals: number): Given {
  const byFlag = new Map(
    Object.values(table).flatMap((option) => (option.flag ? [[option.flag, option]] : [])),
  );
  const options = Object.fromEntries(
    [...byFlag].map(([flag, option]) => [
      flag,
      {
        type: option.value ? ('string' as const) : ('boolean' as const),
        multiple: true,
        ...(option.short ? { short: option.short } : {}),
      },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = byFlag.get(token.name);
    if (!option) throw unknownFlag(token.rawName, byFlag.keys());
    // An empty one is most often a variable of the shell that is not set.
    if (option.value && !token.value) {
      throw new AppError('usage', `--${token.name} needs a value: --${token.name} ${option.value}`);
    }
    if (!option.value && token.value !== undefined)
      throw new AppError('usage', `--${token.name} takes no value`);
    flags.set(token.name, [...(flags.get(token.name) ?? []), token.value ?? 'true']);
  }
  const extra = positionals[maxPositionals];
  if (extra !== undefined) {
    throw new AppError('usage', `unexpected argument "${display(extra, 80)}"`, {
      hint: 'a value with spaces needs quotes; mcp-whoami --help lists what each command takes',
    });
  }
  return { positionals, flags };
}

function unknownFlag(given: string, known: Iterable<string>): AppError {
  // A single letter is near to every short word.
  const near = given.startsWith('--') ? nearest(given.slice(2), known) : undefined;
  return new AppError('usage', `unknown flag ${display(given, 80)}`, {
    hint: near ? `did you mean --${near}?` : 'mcp-whoami --help lists the flags of each command',
  });
}

export interface Levels {
  readonly flags: Given['flags'];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Objects of the configuration file, the more specific first. */
  readonly files: readonly {
    readonly name: string;
    readonly members: JsonObject;
    /** These are for every server. */
    readonly top?: boolean;
  }[];
}

/** The value of every option of `table`: flag, then variable, then configuration file. */
export function resolve<T extends OptionTable>(table: T, levels: Levels): Values<T> {
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(table)) values[name] = resolveOne(option, levels);
  return Object.freeze(values) as Values<T>;
}

function resolveOne(option: Option<unknown>, { flags, environment, files }: Levels): unknown {
  const told = textsOf(option, flags, environment);
  if (told) return option.read(told.texts, told.from);
  for (const { name, members, top } of files) {
    if (!option.member || !Object.hasOwn(members, option.member)) continue;
    if (top && option.ofOneServer) {
      throw new AppError('usage', `${name}: "${option.member}" at the top would go to every server`, {
        hint: `put it beside the URL of its server: {"servers": [{"url": "https://...", "${option.member}": ...}]}`,
      });
    }
    const texts = memberTexts(members[option.member]);
    if (!texts) throw new AppError('usage', `${name}: "${option.member}" has a value of the wrong kind`);
    return option.read(texts, `${name}: "${option.member}"`);
  }
  return undefined;
}

/** What an option was told by flag or, without one, by variable, and the name to blame; not yet read. */
export function textsOf(
  option: Option<unknown>,
  flags: Levels['flags'],
  environment: Levels['environment'],
): { readonly texts: readonly string[]; readonly from: string } | undefined {
  const flag = option.flag && flags.get(option.flag);
  if (flag) return { texts: flag, from: `--${option.flag}` };
  for (const variable of option.variables ?? []) {
    const given = environment[variable];
    if (given) return { texts: option.repeatable ? splitList(given) : [given], from: variable };
  }
  return undefined;
}

const splitList = (given: string) =>
  given
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** A member's value as the texts that a flag would have had. */
function memberTexts(value: unknown): readonly string[] | undefined {
  if (Array.isArray(value)) return value.every((one) => typeof one === 'string') ? value : undefined;
  if (isObject(value)) return pairTexts(value);
  return isScalar(value) ? [String(value)] : undefined;
}

/** `{"a": "x", "b": ["y", "z"]}` as `a=x`, `b=y`, `b=z`. */
function pairTexts(value: JsonObject): readonly string[] | undefined {
  const pairs = Object.entries(value).flatMap(([key, one]) =>
    (Array.isArray(one) ? one : [one]).map((each: unknown) => [key, each] as const),
  );
  return pairs.every(([, each]) => isScalar(each))
    ? pairs.map(([key, each]) => `${key}=${String(each)}`)
    : undefined;
}

const isScalar = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value);
