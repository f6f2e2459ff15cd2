import { logo } from '../../lib/brand.ts';
import { escapeHtml } from '../../lib/text.ts';
import type { Site } from '../address.ts';
import { type Connection, connections } from './connect.ts';

export interface Content {
  readonly site: Site;
  /** The issuer that the page's sign-in must meet; `undefined` without authentication. */
  readonly issuer: string | undefined;
  /** A client registered for this page; `undefined`: the page registers itself. */
  readonly clientId: string | undefined;
  /** This is the gate of another MCP server: there is no tool of ours to call. */
  readonly fronts: boolean;
}

/** The body of the page. Everything in it that is not ours is escaped. */
export function content({ site, issuer, clientId, fronts }: Content): string {
  const sse = `${site.base}/sse`;
  const endpoint = fronts ? `${site.base}/mcp` : sse;
  const steps = [
    ['Install the bridge', 'npm install --global mcp-whoami'],
    ['Sign in once; the tokens stay in your keychain', `mcp-whoami login ${endpoint}`],
  ] as const;
  return `<header>
<div class="brand">${logo}<span>mcp-whoami</span></div>
${fronts ? frontLead : lead}
</header>
<main data-base="${escapeHtml(site.base)}" data-path="${escapeHtml(site.basePath)}"${attribute('issuer', issuer)}${attribute('client-id', clientId)}>
${fronts ? '' : issuer === undefined ? openSection : signInSection(issuer)}
<section aria-labelledby="connect">
<h2 id="connect">Connect a client</h2>
<p>Clients that start local processes reach this server through the bridge. No token is written into their files.</p>
<ol>
${steps.map(([what, line]) => `<li><p>${what}</p>${copyable(line, what)}</li>`).join('\n')}
<li><p>Tell your client</p>
${connections(endpoint).map(clientDetails).join('\n')}
</li>
</ol>
</section>
<section aria-labelledby="addresses">
<h2 id="addresses">Addresses</h2>
<p>A client that speaks OAuth itself needs one of these and nothing else.</p>
<dl class="facts">
${address('Streamable HTTP', `${site.base}/mcp`)}
${address('HTTP+SSE', sse)}
${issuer === undefined ? '' : address('Authorization server', issuer)}
</dl>
</section>
</main>
<footer>Served by mcp-whoami. This page sets no cookie and loads nothing from elsewhere.</footer>`;
}

const lead = `<h1>Who am I?</h1>
<p class="lead">This is a protected MCP server. It has one tool, <code>whoami</code>, which tells the caller who they are: what the authorization server says of the person whose access token came with the call.</p>`;

const frontLead = `<h1>A protected MCP server</h1>
<p class="lead">This is its gate: it lets those in who have signed in, and tells the server behind it who they are. Access tokens go no further than here.</p>`;

const attribute = (name: string, value: string | undefined) =>
  value === undefined ? '' : ` data-${name}="${escapeHtml(value)}"`;

const results = `<p class="status" id="status" role="status"></p>
<p class="problem" id="problem" role="alert"></p>
<dl class="claims" id="claims"></dl>`;

const signInSection = (issuer: string) => `<section aria-labelledby="who">
<h2 id="who">Who are you?</h2>
<p>You sign in at ${escapeHtml(new URL(issuer).host)}. The access token stays in this page, is used once and forgotten.</p>
<noscript><p class="status">This needs JavaScript. In a terminal, <code>mcp-whoami whoami</code> does the same.</p></noscript>
<button class="primary" id="go" type="button" hidden>Sign in and see who you are</button>
${results}
</section>`;

const openSection = `<section aria-labelledby="who">
<h2 id="who">Who are you?</h2>
<p>This server runs without authentication: everybody may call it, and it knows nobody.</p>
<button class="primary" id="go" type="button" hidden>Ask who you are</button>
${results}
</section>`;

function clientDetails({ client, where, text }: Connection): string {
  return `<details name="client"><summary>${escapeHtml(client)}</summary>
<div><p class="where">In ${escapeHtml(where)}</p>${copyable(text, client)}</div></details>`;
}

/** In: the text, and what it is for a person who only hears the button. The button works with the script only. */
function copyable(text: string, what: string): string {
  return `<div class="copy"><pre tabindex="0" role="group" aria-label="${escapeHtml(what)}"><code>${escapeHtml(text)}</code></pre><button type="button" data-copy hidden aria-label="Copy: ${escapeHtml(what)}">Copy</button></div>`;
}

const address = (what: string, url: string) =>
  `<div><dt>${what}</dt><dd><code>${escapeHtml(url)}</code></dd></div>`;
