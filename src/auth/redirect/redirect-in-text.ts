import type { AuthorizationRequest } from '../authorization-request.ts';
import { answersState } from './redirect.ts';

const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|.)/g;
/** What a URL may consist of (RFC 3986 2): quotes, brackets and spaces around one end it. */
const urlCharacters = "A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=%-";
const url = new RegExp(`https?://[${urlCharacters}]+`, 'gi');
const restOfUrl = new RegExp(`^[${urlCharacters}]+(?=["<>\`]|$)`);

type Wanted = Pick<AuthorizationRequest, 'redirectUri' | 'state' | 'server'>;

/**
 * Finds the redirect that answers `request` in what a person pasted: with words, quotes or terminal sequences
 * around it, or cut into lines.
 *
 * Out: `unclear` when lines may or may not belong to it: half a code would be worse than to ask again.
 */
export function redirectIn(text: string, request: Wanted): URLSearchParams | 'unclear' | undefined {
  const lines = text.replace(escapes, '').split(/\r\n|\r|\n/);
  for (const [i, line] of lines.entries()) {
    for (const found of line.matchAll(url)) {
      const before = line[found.index - 1];
      const whole = bestOf(formsOf(found[0], before), request);
      const atEnd = line.slice(found.index + found[0].length).trim() === '';
      const rest = atEnd ? continuation(lines.slice(i + 1)) : '';
      const joined = rest === '' ? undefined : bestOf(formsOf(found[0] + rest, before), request);
      const chosen = choose(whole, joined);
      if (chosen) return chosen === 'unclear' ? chosen : chosen.parameters;
    }
  }
  return undefined;
}

interface Answer {
  readonly parameters: URLSearchParams;
  /** It names the server that was asked, as far as that one has said it would. */
  readonly fits: boolean;
}

/** In: the answer in one line, and the one that goes on in the next lines. */
function choose(whole: Answer | undefined, joined: Answer | undefined): Answer | 'unclear' | undefined {
  if (!whole?.fits) return joined?.fits ? joined : (whole ?? joined);
  if (!joined?.fits) return whole;
  const same = ['code', 'error'].every((name) => whole.parameters.get(name) === joined.parameters.get(name));
  return same ? joined : 'unclear';
}

/** The following lines that may be the rest of a URL which a terminal or a mail cut. */
function continuation(lines: readonly string[]): string {
  let rest = '';
  for (const line of lines) {
    const part = restOfUrl.exec(line.trim())?.[0];
    if (part === undefined || /^https?:/i.test(part)) break;
    rest += part;
    if (part.length < line.trim().length) break;
  }
  return rest;
}

/** A URL as it is, up to the quote that was opened before it, and without the punctuation of a sentence. */
function formsOf(text: string, before: string | undefined): readonly string[] {
  const quoted = before === "'" ? [text.split("'", 1)[0] ?? ''] : [];
  return [...quoted, text, text.replace(/[.,;:!?'")\]]+$/, '')];
}

/** The first form that fits; else one that has our state, to be judged. */
function bestOf(forms: readonly string[], { redirectUri, state, server }: Wanted): Answer | undefined {
  const { issuer, authorization_response_iss_parameter_supported: announced } = server;
  const answers = forms.flatMap((form) => {
    const parameters = parametersOf(form, redirectUri);
    if (!parameters || !answersState(parameters, state)) return [];
    const named = parameters.get('iss');
    return [{ parameters, fits: named === null ? !announced : named === issuer }];
  });
  return answers.find(({ fits }) => fits) ?? answers[0];
}

function parametersOf(text: string, redirectUri: string): URLSearchParams | undefined {
  if (!URL.canParse(text)) return undefined;
  const [pasted, expected] = [new URL(text), new URL(redirectUri)];
  const same = pasted.origin === expected.origin && pasted.pathname === expected.pathname;
  return same ? pasted.searchParams : undefined;
}
