import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { mcpRemote, ours } from '../lib/peers.mjs';
import { openStdio } from '../lib/stdio.mjs';

/**
 * The two bridges, each started as a client would start it. `command(url, { token })`: the command line
 * and the variables for a server URL; the transport is the one that the URL's path says.
 */
const kinds = [
  {
    name: 'mcp-remote',
    command: (url, { token }) => ({
      line: mcpRemote(
        url,
        '--transport',
        url.endsWith('/sse') ? 'sse-only' : 'http-only',
        ...(token ? ['--header', `Authorization:Bearer ${token}`] : []),
      ),
    }),
  },
  {
    name: 'ours',
    command: (url, { token }) => ({
      line: [...ours, 'bridge', url],
      env: { MCP_WHOAMI_STORE: 'file', ...(token ? { MCP_WHOAMI_TOKEN: token } : {}) },
    }),
  },
];

/** A bridge with a home folder of its own, and a browser that only writes down what it is asked to open. */
function openContestant({ name, command }) {
  const home = mkdtempSync(join(tmpdir(), 'bench-home-'));
  const browser = join(home, 'browser');
  const opened = join(home, 'opened');
  writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$1" >> ${opened}\n`, { mode: 0o755 });
  const started = [];

  const pages = () => (existsSync(opened) ? readFileSync(opened, 'utf8').trim().split('\n') : []);

  return {
    name,
    home,
    /** The authorization URLs that were opened so far. */
    pages,
    /** Starts an instance of the bridge. */
    start(url, options = {}) {
      const { line, env } = command(url, options);
      const basic = { PATH: process.env.PATH, HOME: home, BROWSER: browser, LANG: 'C.UTF-8' };
      const client = openStdio(line, { env: { ...basic, ...env } });
      started.push(client);
      return client;
    },
    /** The URL of the next page behind the first `after`; undefined when none is opened in time. */
    async page(after = 0, limitMs = 15_000) {
      for (const end = Date.now() + limitMs; Date.now() < end; await delay(25)) {
        if (pages().length > after) return pages()[after];
      }
      return undefined;
    },
    /** The files below its home that contain one of the texts. */
    filesWith: (texts) =>
      filesBelow(home).filter((file) => {
        const content = readFileSync(file, 'utf8');
        return texts.some((text) => content.includes(text));
      }),
    async close() {
      await Promise.all(started.map((client) => client.stop()));
      rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Runs a row for both bridges, one after the other. Out: what was observed, by the bridge's name. */
export async function forBoth(row) {
  const observed = {};
  for (const kind of kinds) {
    const contestant = openContestant(kind);
    try {
      observed[kind.name] = await row(contestant);
    } catch (error) {
      observed[kind.name] = `the row failed: ${error.message}`;
    } finally {
      await contestant.close();
    }
  }
  return observed;
}

/** What a browser does with a URL. Out: the last page, or why there was none. */
export async function fetchPage(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(20_000) });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    return { status: 0, text: String(error.cause?.code ?? error.message) };
  }
}

/** A person in the browser: never as quick as the process that opened it. */
export async function visit(url) {
  await delay(1_000);
  return fetchPage(url);
}

function filesBelow(folder) {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => {
      const stat = statSync(path);
      return stat.isDirectory() ? filesBelow(path) : stat.isFile() ? [path] : [];
    });
}
