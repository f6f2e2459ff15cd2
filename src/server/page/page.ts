import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isObject, stringMember } from '../../lib/json.ts';
import { answer, answerJson, type Exchange } from '../exchange.ts';
import { content } from './content.ts';
import { style } from './style.ts';

export interface PageOptions {
  readonly issuer: string | undefined;
  readonly clientId: string | undefined;
  /** This is the gate of another MCP server. */
  readonly fronts: boolean;
  /** The authorization server's own metadata document; `undefined` while it is not known. */
  document(): string | undefined;
}

/** What is at `/`: a page for people, whose sign-in runs a script, and a few words of JSON for programs. */
export interface Page {
  home(x: Exchange): void;
  script(x: Exchange): void;
}

/** Beside this file here, and beside the bundle there. */
const scriptFile = new URL('./browser/sign-in.js', import.meta.url);

export function createPage({ issuer, clientId, fronts, document }: PageOptions): Page {
  const script = readFileSync(scriptFile, 'utf8');
  const version = createHash('sha256').update(script).digest('base64url').slice(0, 12);

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
<script type="module" src="${x.site.basePath}/page.js?v=${version}"></script>
</head>
<body>
${content({ site: x.site, issuer, clientId, fronts })}
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
    script(x) {
      const headers = {
        ...commonHeaders,
        'content-type': 'text/javascript; charset=utf-8',
        'cache-control': 'max-age=300',
      };
      answer(x, 200, headers, x.req.method === 'HEAD' ? '' : script);
    },
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

/** One style sheet, one script of ours, and connections to us and to the endpoints that the sign-in needs. */
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
