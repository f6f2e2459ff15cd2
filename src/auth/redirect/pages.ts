import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { logo } from '../../lib/brand.ts';
import { display, escapeHtml } from '../../lib/text.ts';
import { pageStyle } from './page-style.ts';

/** One page of the loopback listener: static, without scripts, nothing loaded from anywhere. */
export interface Page {
  /** In: `headOnly`, for an answer without a body. */
  send(response: ServerResponse, headOnly?: boolean): void;
}

/** What the page at the end says. */
export type Outcome = DoneOutcome | FailedOutcome;

interface DoneOutcome {
  readonly signedIn: true;
  readonly name: string | undefined;
  readonly server: string;
  /** When it is not the default one. */
  readonly profile?: string | undefined;
  /** Who was signed in until now. */
  readonly instead?: string | undefined;
}

interface FailedOutcome {
  readonly signedIn: false;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Shown after the tokens were received and kept, never before. */
export function donePage({ name, server, profile, instead }: Omit<DoneOutcome, 'signedIn'>): Page {
  const who = name === undefined ? undefined : display(name, 80);
  const person = who
    ? `<div class="person"><span class="avatar" aria-hidden="true">${escapeHtml(initials(who))}</span>
        <div><dt>Signed in as</dt><dd class="name">${escapeHtml(who)}</dd></div></div>`
    : '';
  return page(200, 'You are signed in', {
    tone: 'good',
    mark: '<path d="M5 12.5l4.6 4.6L19 7.5"/>',
    body: `<dl>${person}
      ${row('Instead of', instead)}${row('Server', server)}${row('Profile', profile)}</dl>
      <p class="end">You can close this window and go back to where you came from.</p>`,
  });
}

const row = (what: string, value: string | undefined) =>
  value ? `<div class="row"><dt>${what}</dt><dd>${escapeHtml(display(value, 200))}</dd></div>` : '';

/** Shown when the sign-in came to nothing: what happened, and what to do. */
export function failedPage({ message, hint }: Omit<FailedOutcome, 'signedIn'>): Page {
  const next = hint ? `<div class="next"><h2>What to do</h2><p>${sentence(hint)}</p></div>` : '';
  return page(200, 'You are not signed in', {
    tone: 'bad',
    mark: '<path d="M12 4.5v9.5"/><path d="M12 19v.01"/>',
    body: `<p class="what">${sentence(message)}</p>${next}
      <p class="end">You can close this window.</p>`,
  });
}

/** The answer to everything that is not the redirect of this sign-in. */
export function notHerePage(): Page {
  return page(404, 'Nothing here', {
    tone: 'quiet',
    mark: '<path d="M6 12h12"/>',
    body: `<p class="what">This address only waits for the end of one sign-in.</p>
      <p class="end">If you were signing in, go back to the window where you started.</p>`,
  });
}

interface Content {
  readonly tone: 'good' | 'bad' | 'quiet';
  /** Strokes of the sign in the circle, on a 24 x 24 field. */
  readonly mark: string;
  /** HTML; everything from outside in it is escaped. */
  readonly body: string;
}

function page(status: number, title: string, { tone, mark, body }: Content): Page {
  const nonce = randomBytes(16).toString('base64');
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – mcp-whoami</title>
<style nonce="${nonce}">${pageStyle}</style>
</head>
<body>
<main class="${tone}">
<div class="brand">${logo}<span>mcp-whoami</span></div>
<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">${mark}</svg>
<h1>${title}</h1>
${body}
</main>
<footer>Shown by mcp-whoami on this computer.</footer>
</body>
</html>
`;
  return {
    send(response, headOnly = false) {
      response.writeHead(status, {
        'content-type': 'text/html; charset=utf-8',
        'content-length': Buffer.byteLength(html),
        'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        connection: 'close',
      });
      response.end(headOnly ? undefined : html);
    },
  };
}

/** One of our messages as HTML: begun with a capital letter, flags kept in one piece. */
function sentence(text: string): string {
  const shown = display(text, 400);
  const begun = /^https?:/.test(shown) ? shown : shown.charAt(0).toUpperCase() + shown.slice(1);
  // No full stop behind an address: somebody may copy it.
  const html = escapeHtml(/[.!?…]$|:\/\/\S+$/.test(begun) ? begun : `${begun}.`);
  return html.replace(/(?<![\w-])--[a-z][a-z-]*/g, '<span class="word">$&</span>');
}

/** One or two letters for the round picture: of the first and the last word. */
function initials(name: string): string {
  const words = name.split(/[\s._@-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '').join('') || '?';
}
