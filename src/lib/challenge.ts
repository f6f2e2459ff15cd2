/** One challenge of a `WWW-Authenticate` header (RFC 9110 11.6.1). */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  readonly token68: string | undefined;
  /** Names in lower case; of repeated ones the first counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

const token = /[!#$%&'*+.^_`|~\w-]+/y;
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const equals = /[ \t]*=[ \t]*/y;
const separators = /[ \t,]+/y;
const spaces = /[ \t]+/y;

/**
 * The challenges of a `WWW-Authenticate` header, in order. What breaks the grammar ends the reading: the
 * challenges before it are kept. Each character is looked at a constant number of times.
 */
export function parseChallenges(header: string): Challenge[] {
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(header)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const takeValue = () => {
    if (header[at] !== '"') return take(token);
    const quoted = readQuoted(header, at);
    if (quoted) at = quoted.end;
    return quoted?.value;
  };
  /** `name = value`; undefined, with nothing consumed, when a challenge or nothing at all comes next. */
  const takeParameter = (): { name: string; value: string | undefined } | undefined => {
    const start = at;
    const name = take(token);
    if (name !== undefined && take(equals) !== undefined) return { name, value: takeValue() };
    at = start;
    return undefined;
  };

  const challenges: Challenge[] = [];
  for (;;) {
    take(separators);
    const scheme = take(token)?.toLowerCase();
    if (scheme === undefined) return challenges;
    const parameters = new Map<string, string>();
    if (take(spaces) === undefined) {
      challenges.push({ scheme, token68: undefined, parameters });
      if (at < header.length && header[at] !== ',') return challenges;
      continue;
    }
    const opaque = take(token68);
    challenges.push({ scheme, token68: opaque, parameters });
    if (opaque !== undefined) continue;
    for (let next = takeParameter(); next; next = takeParameter()) {
      if (next.value === undefined) return challenges;
      const name = next.name.toLowerCase();
      if (!parameters.has(name)) parameters.set(name, next.value);
      take(spaces);
      if (at < header.length && header[at] !== ',') return challenges;
      take(separators);
    }
  }
}

function readQuoted(text: string, from: number): { value: string; end: number } | undefined {
  let value = '';
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '"') return { value, end: i + 1 };
    if (text[i] === '\\') i++;
    value += text[i] ?? '';
  }
  return undefined;
}

/** What a 401 or 403 of a protected resource asks for (RFC 6750 3, RFC 9449 7.1, RFC 9728 5.1). */
export interface TokenChallenge {
  readonly resourceMetadata: string | undefined;
  /** Space separated, of legal scope tokens only. */
  readonly scope: string | undefined;
  readonly error: string | undefined;
}

/**
 * The challenge for an access token among all: one that names its metadata before one that does not, `Bearer` before
 * `DPoP`; undefined when there is none.
 */
export function tokenChallenge(header: string | undefined): TokenChallenge | undefined {
  const challenges = parseChallenges(header ?? '');
  const wanted = ['bearer', 'dpop'].flatMap((name) => challenges.filter(({ scheme }) => scheme === name));
  const best = wanted.find(({ parameters }) => parameters.has('resource_metadata')) ?? wanted[0];
  if (!best) return undefined;
  const scope = best.parameters.get('scope')?.trim();
  return {
    resourceMetadata: best.parameters.get('resource_metadata') || undefined,
    scope: scope && isScope(scope) ? scope : undefined,
    error: best.parameters.get('error'),
  };
}

/** What a resource says about proofs of possession (RFC 9449 7.1). */
export interface DpopChallenge {
  readonly error: string | undefined;
  /** Signature algorithms that it takes; undefined: not told. */
  readonly algorithms: readonly string[] | undefined;
  /** It challenges for no Bearer token beside. */
  readonly alone: boolean;
}

/** The `DPoP` challenge among all, preferring one that tells of an error; undefined when there is none. */
export function dpopChallenge(header: string | undefined): DpopChallenge | undefined {
  const challenges = parseChallenges(header ?? '');
  const proofs = challenges.filter(({ scheme }) => scheme === 'dpop');
  const best = proofs.find(({ parameters }) => parameters.has('error')) ?? proofs[0];
  return (
    best && {
      error: best.parameters.get('error'),
      algorithms: best.parameters.get('algs')?.split(/ +/).filter(Boolean),
      alone: challenges.every(({ scheme }) => scheme !== 'bearer'),
    }
  );
}

/** RFC 6749 3.3: visible ASCII without quote and backslash, single spaces between the tokens. */
export function isScope(text: string): boolean {
  return text.length <= 4096 && /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(text);
}
