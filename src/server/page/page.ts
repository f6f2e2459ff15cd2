import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isObject, stringMember } from '../../lib/json.ts';
import { answer, answerJson, type Exchange } from '../exchange.ts';
import { content } from './content.ts';
import { style } from './style.ts';

export interface PageOptions {
  /** Whom the page's sign-in must meet; `undefined` without authentication. */
  issuer(): string | undefined;
  readonly clientId: string | undefined;
  /** This is the gate of another MCP server. */
  readonly fronts: boolean;
  /** The authorization server's own metadata document; `undefined` while it is not known. */
  document(): string | undefined;
}

/** What is at `/`: a page for people, whose sign-in runs in it, and a few words of JSON for programs. */
export interface Page {
  home(x: Exchange): void;
  /** What it loads, by path. */
  readonly scripts: Readonly<Record<string, (x: Exchange) => void>>;
}

const scripts = ['page.js', 'sign-in.js', 'whoami.js'];

export function createPage({ issuer, clientId, fronts, document }: PageOptions): Page {
  return {
    home(x) {
      if (!x.req.headers.accept?.includes('text/html')) return describe(x, fronts);
      const nonce = randomBytes(16).toString('base64');
      const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${fronts ? 'MCP server' : 'Who am I?'} – mcp-whoami</title>
<style nonce="${nonce}">${style}</style>
<script type="module" src="${x.site.basePath}/page/page.js"></script>
</head>
<body>
${content({ site: x.site, issuer: issuer(), clientId, fronts })}
</body>
</html>
`;
      answer(
        x,
        200,
        {
          ...commonHeaders,
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy': policy(nonce, endpointOrigins(document())),
          'cache-control': 'no-store',
          'x-frame-options': 'DENY',
          vary: 'Accept',
        },
        x.req.method === 'HEAD' ? '' : html,
      );
    },
    scripts: Object.fromEntries(scripts.map((name) => [`/page/${name}`, script(name)])),
  };
}

/** The files are beside this one here, and beside the bundle there. */
function script(name: string): (x: Exchange) => void {
  const text = readFileSync(new URL(`./browser/${name}`, import.meta.url), 'utf8');
  return (x) => {
    const type = { 'content-type': 'text/javascript; charset=utf-8', 'cache-control': 'no-cache' };
    answer(x, 200, { ...commonHeaders, ...type }, x.req.method === 'HEAD' ? '' : text);
  };
}

function describe(x: Exchange, fronts: boolean): void {
  const what = fronts
    ? { name: 'mcp-whoami', description: 'The gate of a protected MCP server.' }
    : { name: 'WhoAmI', description: 'A protected MCP server with one tool: it tells who you are.' };
  const { base } = x.site;
  const endpoints = { sse: `${base}/sse`, streamableHttp: `${base}/mcp` };
  answerJson(x, 200, { ...what, endpoints }, { vary: 'Accept' });
}

const commonHeaders = {
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
};

/** One style sheet, scripts of ours, and connections to us and to the endpoints that the sign-in needs. */
function policy(nonce: string, connect: readonly string[]): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'nonce-${nonce}'`,
    `connect-src ${["'self'", ...connect].join(' ')}`,
    "require-trusted-types-for 'script'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Origins of what the page itself asks: registration, tokens, revocation. */
function endpointOrigins(document: string | undefined): readonly string[] {
  let metadata: unknown;
  try {
    metadata = JSON.parse(document ?? '{}');
  } catch {
    return [];
  }
  if (!isObject(metadata)) return [];
  const from = metadata;
  const urls = ['registration_endpoint', 'token_endpoint', 'revocation_endpoint']
    .map((name) => stringMember(from, name))
    .filter((url) => url !== undefined && URL.canParse(url))
    .map((url) => new URL(url ?? ''));
  // An origin is a source of the policy language, whatever characters the rest of the URL has.
  return [...new Set(urls.filter(({ protocol }) => /^https?:$/.test(protocol)).map(({ origin }) => origin))];
}
