import { openRemote } from '../lib/remote.mjs';
import { visit } from './contestants.mjs';
import { openIssuer } from './issuer.mjs';

const documentOf = '/.well-known/oauth-protected-resource';

/** A protected MCP server and its authorization server. `write` needs a scope that nobody asks for at first. */
export async function openWorld(options = {}) {
  const issuer = await openIssuer(options);
  const documents = {};
  const remote = await openRemote({ gate, documents });
  const { origin } = remote;
  for (const path of ['/mcp', '/sse']) {
    documents[documentOf + path] = {
      resource: origin + path,
      authorization_servers: [issuer.origin],
      scopes_supported: ['read'],
    };
  }

  function gate({ token, tool, path }) {
    const where = `resource_metadata="${origin}${documentOf}${path}"`;
    const scope = issuer.scopeOf(token);
    if (scope === undefined) {
      const error = token ? 'error="invalid_token", ' : '';
      return { status: 401, challenge: `Bearer ${error}${where}, scope="read"` };
    }
    if (tool !== 'write' || scope.split(' ').includes('write')) return undefined;
    return { status: 403, challenge: `Bearer error="insufficient_scope", scope="write", ${where}` };
  }

  return {
    issuer,
    remote,
    mcp: `${origin}/mcp`,
    sse: `${origin}/sse`,
    close: () => Promise.all([issuer.close(), remote.close()]),
  };
}

/** Runs a row's story in a world of its own. */
export async function inWorld(options, story) {
  const world = await openWorld(options);
  try {
    return await story(world);
  } finally {
    await world.close();
  }
}

/** Starts a bridge and signs in through it. Out: the bridge, and the answer to its first call. */
export async function signIn(contestant, url) {
  const before = contestant.pages().length;
  const client = contestant.start(url);
  const called = client.initialize().then(() => client.call('whoami'));
  const page = await contestant.page(before);
  if (!page) throw new Error(`no page was opened: ${client.stderr().slice(-300)}`);
  await visit(page);
  const answer = await called;
  if (!isOk(answer)) throw new Error(`the sign-in did not work: ${told(answer)}`);
  return { client, answer };
}

export const isOk = (answer) => answer.result !== undefined && !answer.result.isError;

/** An answer in a table's words. */
export function told(answer, limitMs = 60_000) {
  if (answer.exited) return `exit ${answer.exited.code ?? answer.exited.signal}, unanswered`;
  if (answer.late) return `no answer in ${time(limitMs)}`;
  const after = `after ${time(answer.ms)}`;
  if (isOk(answer)) return `answered ${after}`;
  const text = answer.error?.message ?? answer.result?.content?.[0]?.text ?? '';
  return `error ${after} ("${text.replace(/\s+/g, ' ').slice(0, 90)}")`;
}

export function time(ms) {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
