/** Why requests are refused, as `rejected_total` names it, by the word that the answer has. */
const byWord: Readonly<Record<string, string>> = {
  forbidden_host: 'host',
  forbidden_origin: 'origin',
  too_many_requests: 'rate',
  too_many_calls: 'user_rate',
  too_large: 'size',
  foreign_session: 'session_user',
  session_not_found: 'session',
  too_many_streams: 'sessions',
  draining: 'draining',
  temporarily_unavailable: 'unavailable',
  unauthorized: 'no_token',
  invalid_token: 'token',
  insufficient_scope: 'scope',
  access_denied: 'policy',
  not_found: 'path',
  method_not_allowed: 'method',
};
const anyOther = 'malformed';

/** Every value of the label. */
export const reasons: readonly string[] = [...new Set([...Object.values(byWord), anyOther])];

/** The label for a word of a refusal; what is in no table is a request that no client of ours would send. */
export function reasonFor(word: string): string {
  return Object.hasOwn(byWord, word) ? (byWord[word] ?? anyOther) : anyOther;
}
