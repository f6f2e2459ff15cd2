import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noBrowserReason } from '../../lib/desktop.ts';
import { AppError } from '../../lib/errors.ts';
import { display, displayJson } from '../../lib/text.ts';
import { type Client, setUpClient } from '../client.ts';
import type { Command } from '../command.ts';
import type { Context, ExitCode } from '../context.ts';
import { openStdioClient } from '../demo/client.ts';
import { openPair } from '../demo/pair.ts';
import { registrationLines } from '../demo/registration.ts';
import { createSteps, type Steps } from '../demo/steps.ts';
import { saveCatalogue } from '../save-catalogue.ts';
import { storeOptions } from '../settings/client.ts';
import { commonOptions, jsonOption } from '../settings/common.ts';
import { toggle } from '../settings/option.ts';
import type { Given } from '../settings/resolve.ts';
import { openEdges } from '../sign-in-edges.ts';
import { keychainWaitMs } from './login.ts';
import { lines } from './whoami.ts';

const { help, version, logLevel } = commonOptions;
const { store } = storeOptions;
const profile = 'demo';

export const command: Command = {
  positionals: [],
  about: [
    'Tries it all on this machine: starts the demo authorization server and the protected whoami server, signs you',
    'in through the browser, keeps the tokens in the keychain, opens the stdio bridge and asks who you are.',
    'Without a display it goes through the real pages over HTTP as Alice.',
  ].join('\n'),
  options: {
    help,
    version,
    logLevel,
    store,
    ...jsonOption,
    noBrowser: toggle({ flag: 'no-browser', help: 'go through the pages over HTTP as Alice' }),
    keep: toggle({ flag: 'keep', help: 'leave the server running and yourself signed in' }),
  },
  async run(outer, given) {
    if (given.flags.has('keep')) return run(ownContext(outer, outer.configDir), given);
    // Nothing of it is left: the next demo's provider would not know this one's registrations.
    const folder = await mkdtemp(join(tmpdir(), 'mcp-whoami-demo-'));
    try {
      return await run(ownContext(outer, folder), given);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function run(context: Context, given: Given): Promise<ExitCode> {
  const asked = given.flags.has('no-browser');
  const reason = asked ? '--no-browser' : noBrowserReason(context);
  const json = given.flags.has('json');
  const keep = given.flags.has('keep');
  refuseMemory(
    await setUpClient(context, { positionals: [], flags: ownFlags(given) }, { profile, sends: false }),
  );
  const steps = createSteps(context);
  // The rooms' own lines would drown the demo's; --log-level brings them back.
  const quiet = given.flags.has('log-level') ? undefined : 'warn';
  context.say('mcp-whoami demo: MCP client → stdio bridge → HTTP+SSE with Bearer → whoami server\n');

  const pair = await steps.run('authorization server', async () => {
    const level = quiet ?? (given.flags.get('log-level')?.at(-1) === 'debug' ? 'debug' : 'info');
    const value = await openPair(context, context.log(level));
    const others = value.moved ? '  (ports 3001 and 3002 are taken: others were picked)' : '';
    return { value, say: `${value.issuer}, a demo with Alice and Bob${others}` };
  });
  try {
    const flags = ownFlags(given);
    if (quiet) flags.set('log-level', [quiet]);
    const client = await setUpClient(context, { positionals: [], flags }, { server: pair.url, profile });
    const verification = pair.server.issuers[0]?.verification() ?? '';
    const claims = await walk(context, client, steps, reason, verification, keep);
    if (json) context.print(displayJson({ steps: steps.done, claims }, 2));
    else {
      context.print(
        `\nYou are:\n\n${lines(claims)
          .map((line) => `  ${line}`)
          .join('\n')}\n`,
      );
      context.print(registrationLines(context.self.node, context.self.script, 'http://localhost:3001/sse'));
    }
    if (keep) await untilStopped(context, pair.url);
    return context.signals.exitCode() ?? 0;
  } finally {
    await pair.close();
  }
}

const ownFlags = ({ flags }: Given) =>
  new Map([...flags].filter(([name]) => name === 'store' || name === 'log-level'));

/** The demo's bridge is a process of its own, as a client would start it: it must find the tokens. */
function refuseMemory({ store: kept }: Client): void {
  if (kept !== 'memory') return;
  throw new AppError('usage', 'the demo keeps its tokens where the bridge, another process, finds them', {
    hint: '--store memory is for bridge; leave it out, or use --store file',
  });
}

/** A context of the demo's own: another configuration folder, and no settings that are meant for other servers. */
function ownContext(outer: Context, configDir: string): Context {
  const kept = ['LOG_LEVEL', 'PASSPHRASE', 'STORE'].map((name) => `MCP_WHOAMI_${name}`);
  const environment = Object.fromEntries(
    Object.entries(outer.environment).filter(
      ([name]) => !name.startsWith('MCP_WHOAMI_') || kept.includes(name),
    ),
  );
  return { ...outer, configDir, environment: { ...environment, MCP_WHOAMI_CONFIG_DIR: configDir } };
}

async function walk(
  context: Context,
  client: Client,
  steps: Steps,
  noBrowser: string | undefined,
  verification: string,
  keep: boolean,
) {
  const { server } = client;
  await steps.run('protected server', async () => {
    const answer = await context.http.read(server);
    if (answer.status !== 401) throw new AppError('internal', `${server.href} let us in without a token`);
    return { value: undefined, say: `${server.href} answers 401 without a token` };
  });
  const edges = await openEdges(context, client, keychainWaitMs)();
  await steps.run('sign-in', async () => {
    const who = await signIn(context, client, edges, noBrowser);
    const way = noBrowser ? `over HTTP as Alice (${noBrowser})` : 'through the browser';
    return { value: undefined, say: `${display(who)}, ${way}, with PKCE` };
  });
  try {
    await steps.run('tokens kept', async () => {
      await saveCatalogue(context, client, edges);
      return { value: undefined, say: `in ${edges.vault.description}` };
    });
    const flags = ['--profile', profile, ...(client.store ? ['--store', client.store] : [])];
    const bridge = await steps.run('stdio bridge', async () => {
      const value = await openStdioClient(context, ['bridge', server.href, ...flags]);
      return { value, say: `process ${value.pid}, tools: ${(await value.listTools()).join(', ')}` };
    });
    try {
      return await steps.run('whoami', async () => {
        const value = await bridge.whoami();
        return { value, say: `answered through the whole chain; verified by ${verification.split(';')[0]}` };
      });
    } finally {
      await bridge.close();
    }
  } finally {
    if (!keep) await signOut(client, edges, steps);
  }
}

async function signIn(
  context: Context,
  client: Client,
  edges: Awaited<ReturnType<ReturnType<typeof openEdges>>>,
  noBrowser: string | undefined,
): Promise<string> {
  const { login } = await import('../../auth/login.ts');
  const visit = noBrowser ? (await import('../../idp/visitor.ts')).visitAsDemoUser : undefined;
  let failed: (error: unknown) => void = () => {};
  const visitorFailed = new Promise<never>((_, reject) => {
    failed = reject;
  });
  const signedIn = await Promise.race([
    login(edges, client.signIn, {
      browser: visit ? 'print' : 'open',
      onUrl(url) {
        if (visit) visit(url, 'alice').catch(failed);
        else context.say(`    If no browser opens, visit:\n    ${url}`);
      },
      signal: context.signals.aborted,
    }),
    visitorFailed,
  ]);
  if (signedIn === 'no_oauth_wanted') throw new AppError('internal', 'the server asked for no sign-in');
  return signedIn.name ?? signedIn.subject ?? 'somebody';
}

async function signOut(
  client: Client,
  edges: Awaited<ReturnType<ReturnType<typeof openEdges>>>,
  steps: Steps,
): Promise<void> {
  await steps.run('sign-out', async () => {
    const { logout } = await import('../../auth/logout.ts');
    const { revoked } = await logout(edges, { server: client.server, profile });
    return {
      value: undefined,
      say: `${revoked ? 'revoked at the authorization server, ' : ''}forgotten here`,
    };
  });
}

async function untilStopped(context: Context, server: URL): Promise<void> {
  const { aborted } = context.signals;
  context.say(`\nThe server keeps running at ${server.href} (profile ${profile}). Ctrl-C ends it.`);
  if (!aborted.aborted)
    await new Promise((resolve) => aborted.addEventListener('abort', resolve, { once: true }));
}
