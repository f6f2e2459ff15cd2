import { randomBytes } from 'node:crypto';
import { escapeHtml } from '../../lib/text.ts';
import { style } from './style.ts';

/** One page: what differs from page to page. Every value in `body` is escaped already. */
export interface Page {
  readonly title: string;
  readonly body: string;
  /** Where a form of this page may end up besides this server: the redirect URI's origin. */
  readonly formTarget?: string | undefined;
}

export interface RenderedPage {
  readonly headers: Readonly<Record<string, string>>;
  readonly html: string;
}

/** The header fields of every answer of the server, page or not. A page replaces the policy by its own. */
export const commonHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; script-src 'none'; frame-ancestors 'none'; base-uri 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/**
 * Puts `page` into the frame that all pages share.
 *
 * Out: the HTML and its header fields, among them a policy that allows this one style sheet, no script at all
 * and forms that lead back here or, where the page says so, to the redirect URI: browsers apply `form-action`
 * to the redirects after a form, too.
 */
export function renderPage(page: Page): RenderedPage {
  const nonce = randomBytes(16).toString('base64');
  const targets = ["'self'", ...(page.formTarget ? [page.formTarget] : [])].join(' ');
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; form-action ${targets}; frame-ancestors 'none'; base-uri 'none'`;
  return {
    headers: {
      ...commonHeaders,
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': policy,
    },
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(page.title)} – mcp-whoami demo</title>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<main class="card">
<div class="brand">${logo}<span>mcp-whoami</span><span class="tag">Demo</span></div>
${page.body}
</main>
<footer>Demo authorization server, running on this computer only.</footer>
</body>
</html>
`,
  };
}

/**
 * The `form-action` source for a redirect URI: its origin, or its scheme where the policy language has no word
 * for the host (IPv6 addresses, private-use schemes: CSP Level 3, 2.3.1).
 */
export function formTargetOf(redirectUri: string | undefined): string | undefined {
  if (!redirectUri || !URL.canParse(redirectUri)) return undefined;
  const { protocol, origin, hostname } = new URL(redirectUri);
  return origin === 'null' || hostname.startsWith('[') ? protocol : origin;
}

const logo = `<svg viewBox="0 0 32 32" aria-hidden="true"><rect class="brand-tile" width="32" height="32" rx="9"/><path class="brand-line" d="M10 20.5v-4a6 6 0 0 1 12 0v2.2M13 22.5v-6a3 3 0 0 1 6 0v4.5M16 16.5V24M8.2 12.6a9 9 0 0 1 15.6 0"/></svg>`;

const icon = (paths: string) =>
  `<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${paths}</svg>`;

export const icons = {
  check: icon('<path d="M5 12.5 10 17.5 19 7.5"/>'),
  cross: icon('<path d="M7 7 17 17M17 7 7 17"/>'),
  next: icon('<path d="M9 6l6 6-6 6"/>'),
  info: icon('<circle cx="12" cy="12" r="9"/><path d="M12 11v5M12 8h.01"/>'),
  warning: icon('<path d="M12 4 2.8 19.5h18.4z"/><path d="M12 10v4.5M12 17.2h.01"/>'),
  device: icon('<rect x="3" y="5" width="18" height="12" rx="2"/><path d="M8 21h8M12 17v4"/>'),
} as const;
