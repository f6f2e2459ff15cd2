// What the page knows of its server, and one call of the whoami tool.

/** @typedef {Record<string, unknown>} Json */

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
export const { base = '', path = '', issuer, clientId } = main.dataset;

export const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** One call of the tool. @param {string | undefined} token */
export async function show(token) {
  say('Asking who you are …');
  const response = await fetch(`${path}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'whoami', arguments: {} },
    }),
  });
  const { result } = await json(response, 'This server');
  const { structuredContent, content } = /** @type {Json} */ (result ?? {});
  const text = Array.isArray(content) ? String(content[0]?.text ?? '{}') : '{}';
  const claims = /** @type {Json} */ (structuredContent ?? JSON.parse(text));
  byId('claims').replaceChildren(...Object.entries(claims).map(row));
  if (typeof claims.error === 'string') say('The server knows nobody:');
  else say(`You are ${claims.name ?? claims.sub}.`);
}

/** @param {[string, unknown]} claim */
function row([name, value]) {
  const line = document.createElement('div');
  const term = document.createElement('dt');
  const detail = document.createElement('dd');
  term.textContent = name;
  detail.textContent = typeof value === 'string' ? value : JSON.stringify(value);
  line.append(term, detail);
  return line;
}

/** @param {Response} response @param {string} who @returns {Promise<Json>} */
export async function json(response, who) {
  /** @type {Json} */
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const { error, error_description: description } = body;
  const told = [error, description]
    .filter((part) => typeof part === 'string')
    .join(': ')
    .slice(0, 300);
  throw new Error(`${who} answered with status ${response.status}${told ? ` (${told})` : ''}.`);
}

/** @param {string} text */
export function say(text) {
  byId('status').textContent = text;
}
