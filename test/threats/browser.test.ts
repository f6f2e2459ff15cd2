import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Recorder, recorder } from '../support/recorder.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';
import { type Resource, startResource } from '../unit/auth/support/resource.ts';

let issuer: Issuer;
let resource: Resource;
let home: Home;
let browser: Recorder;
let canary: string;
beforeEach(async () => {
  issuer = await startIssuer();
  resource = await startResource(() => issuer.issuer);
  home = makeHome();
  browser = recorder(home.path);
  canary = join(home.path, 'canary');
});
afterEach(async () => {
  await Promise.all([issuer.close(), resource.close()]);
  home.remove();
});

const withEndpoint = (url: string) => {
  issuer.behaviour.metadata = (it) => ({ ...it, authorization_endpoint: url });
};

/** Addresses that are none, with what each shell would make of them. */
const hostile = (touched: string): readonly string[] => [
  'javascript:alert(1)',
  'file:///bin/sh',
  'file://evil.example/share/run.exe',
  'ssh://-oProxyCommand=id/',
  'ms-msdt:/id PCWDiagnostic',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:msgbox',
  'calculator:',
  '\\\\evil.example\\share\\run.exe',
  '--version',
  '-remote=openURL(https://evil.example)',
  `$(touch ${touched})`,
  `\`touch ${touched}\``,
  `https://a.example/\`touch ${touched}\``,
  `https://a.example/";touch ${touched};"`,
  `https://a.example/|touch ${touched}`,
  `https://a.example/\ntouch ${touched}`,
  `https://a.example/\r\nX: y`,
  'https://a.example/ --flag',
  'https://google.com@evil.example/',
  'https://a.example/\u0000',
  'https://a.example/\u009b31m',
  'http://attacker.test/authorize',
];

test(
  threat(['C5', 'C6', 'C7'], 'a hostile authorization endpoint: no program is started, no file appears'),
  async () => {
    for (const url of hostile(canary)) {
      withEndpoint(url);
      const env = { ...home.env, BROWSER: browser.program };
      const { code, stdout, stderr } = await command(['login', resource.url.href], { env });
      expect(`${code} ${stderr}`, JSON.stringify(url)).toMatch(
        /^1 [\s\S]*mcp-whoami: the authorization_endpoint /,
      );
      // Nobody is invited to open by hand what is not opened.
      expect(stdout + stderr).not.toMatch(/^\s*[a-z-]+:\S*$/im);
    }
    expect(browser.starts()).toEqual([]);
    expect(existsSync(canary)).toBe(false);
    expect(issuer.seen.filter(({ method }) => method === 'POST')).toEqual([]);
  },
);

/** Legal in a URL, and dear to every shell. */
const awkward = "/$(touch%20canary);touch$IFS'canary'&calc&(id)!*~/--flag";

async function startedWith(env: Record<string, string>, seen: Recorder) {
  withEndpoint(`${issuer.origin}${awkward}?a=1&b=$(id)`);
  const login = start(['login', resource.url.href], { env: { ...home.env, ...env }, cwd: home.path });
  const [started] = await until('a browser', 15_000, () => {
    const starts = seen.starts();
    return starts.length > 0 ? starts : undefined;
  });
  await login.stop('SIGINT');
  expect(seen.starts()).toHaveLength(1);
  return started;
}

function isTheUrl(argument: string | undefined): void {
  const url = new URL(argument ?? '');
  expect(argument).toBe(url.href);
  expect(url.origin).toBe(issuer.origin);
  expect(url.pathname).toContain('--flag');
  expect(url.searchParams.get('b')).toBe('$(id)');
  expect(url.searchParams.get('code_challenge_method')).toBe('S256');
  expect(existsSync(join(home.path, 'canary'))).toBe(false);
}

const secrets = {
  MCP_WHOAMI_CLIENT_ID: 'given',
  MCP_WHOAMI_CLIENT_SECRET: 'the-client-secret',
  MCP_WHOAMI_PASSPHRASE: 'the-passphrase',
};

test(
  threat(['C5', 'S2'], 'BROWSER gets the URL as one argument, and no secret in its environment'),
  async () => {
    const started = await startedWith({ ...secrets, BROWSER: browser.program }, browser);
    expect(started?.argv).toHaveLength(1);
    isTheUrl(started?.argv[0]);
    expect(started?.environment).toContain(`HOME=${home.path}`);
    expect(started?.environment + String(started?.argv)).not.toMatch(/the-client-secret|the-passphrase/);
  },
);

test(threat('C5', 'BROWSER with words: the URL takes the place of %s, whole'), async () => {
  const started = await startedWith({ BROWSER: `${browser.program} --new-window %s --quiet` }, browser);
  expect(started?.argv).toHaveLength(3);
  expect([started?.argv[0], started?.argv[2]]).toEqual(['--new-window', '--quiet']);
  isTheUrl(started?.argv[1]);
});

test(
  threat(['C5', 'S2'], "the system's own opener gets the URL as one argument, and no secret"),
  async () => {
    const opener = recorder(home.path, 'xdg-open');
    const PATH = `${dirname(opener.program)}:${process.env.PATH}`;
    const env = { ...secrets, PATH, BROWSER: '', DISPLAY: ':99', CI: '', SSH_CONNECTION: '', SSH_TTY: '' };
    const started = await startedWith(env, opener);
    expect(started?.argv).toHaveLength(1);
    isTheUrl(started?.argv[0]);
    expect(started?.environment + String(started?.argv)).not.toMatch(/the-client-secret|the-passphrase/);
  },
);
