import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Authority, type Certificate, createAuthority } from '../support/certificates.ts';
import { command, type Running, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';
import { openTestProvider, type TestProvider } from '../unit/server/support/provider.ts';
import { openStream } from '../unit/server/support/raw.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await openTestProvider();
});
afterAll(() => provider.close());

interface Served {
  readonly home: Home;
  readonly running: Running;
  readonly port: number;
  /** Writes the part `serve` of the configuration file. */
  configure(serve: unknown): void;
  token(sub?: string): Promise<string>;
  call(token: string): Promise<Response>;
  stop(signal?: NodeJS.Signals): ReturnType<Running['stop']>;
}

/** `serve` in front of the test's provider, as under a supervisor: nothing is attached to its input. */
async function serve(args: readonly string[], config: unknown = {}): Promise<Served> {
  const home = makeHome();
  const configure = (part: unknown) => {
    writeFileSync(join(home.path, 'config.json'), JSON.stringify({ serve: part }));
  };
  configure(config);
  const running = start(['serve', '--port', '0', '--issuer', provider.issuer, ...args], {
    env: { ...home.env, MCP_WHOAMI_CONFIG_DIR: home.path },
    input: '',
  });
  const [, scheme, port] = await running.printed(/whoami server at (https?):\/\/localhost:(\d+)\/sse/);
  await running.printed(/access tokens are verified by/);
  const origin = `${scheme}://localhost:${port}`;
  return {
    home,
    running,
    port: Number(port),
    configure,
    token: (sub = 'alice') => provider.jwt({ sub, claims: { aud: `${origin}/mcp` } }),
    call: (token) =>
      fetch(`${origin}/mcp`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}',
      }),
    async stop(signal = 'SIGINT') {
      const finished = await running.stop(signal);
      home.remove();
      return finished;
    },
  };
}

describe('metrics and the log of the built command', () => {
  test(threat('R21', 'one JSON line a request, and counters, without a token in either'), async () => {
    const served = await serve(['--metrics-port', '0', '--log-format', 'json']);
    const [, at] = await served.running.printed(/metrics at (http:\/\/localhost:\d+\/metrics)/);
    const token = await served.token();
    expect((await served.call(token)).status).toBe(200);
    expect((await served.call('wrong')).status).toBe(401);
    const metrics = await (await fetch(at ?? '')).text();
    expect(metrics).toMatch(/^mcp_whoami_tool_calls_total\{tool="whoami",outcome="ok"\} 1$/m);
    expect(metrics).toMatch(/^mcp_whoami_rejected_total\{reason="token"\} 1$/m);
    expect(metrics).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    const { stderr, code } = await served.stop();
    expect(code).toBe(0);
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const requests = lines.filter(({ route }) => route === 'mcp');
    expect(requests).toMatchObject([
      { level: 'info', message: 'request', status: 200, client: 'test-client', method: 'POST' },
      { level: 'info', message: 'token refused', status: 401, refused: 'invalid_token' },
    ]);
    expect(`${stderr}${metrics}`).not.toContain(token);
    expect(stderr).not.toContain('alice');
  });

  test('text: the good requests are not told, the refused ones are', async () => {
    const served = await serve([]);
    await served.call(await served.token());
    await served.call('wrong');
    const { stderr } = await served.stop();
    expect(stderr.match(/route="mcp"/g)).toHaveLength(1);
    expect(stderr).toMatch(/^mcp-whoami: token refused .*status="401"/m);
  });
});

test('a metrics port that is taken is exit code 1 at once, whatever is on standard input', async () => {
  const taken = provider.port;
  const { env, remove } = makeHome();
  const flags = ['--port', '0', '--metrics-port', String(taken), '--issuer', provider.issuer];
  const running = start(['serve', ...flags], { env });
  const { code, stderr } = await running.finished;
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(new RegExp(`port ${taken} .*\\n.*--metrics-port`)),
  ]);
  remove();
});

describe('SIGHUP', () => {
  const told = /SIGHUP: the configuration was read again changed="([^"]*)"(?: at the next start="([^"]*)")?/;

  test('what can change does at once, and one line names what cannot', async () => {
    const served = await serve([], { logLevel: 'info' });
    const [alice, bob] = [await served.token('alice'), await served.token('bob')];
    expect((await served.call(bob)).status).toBe(200);
    served.configure({ allow: { sub: 'alice' }, logLevel: 'debug', metricsPort: 1, userRate: 1000 });
    served.running.child.kill('SIGHUP');
    const [, now, later] = await served.running.printed(told);
    expect([now, later]).toEqual(['issuers, userRate, logLevel', 'metricsPort']);
    expect([(await served.call(alice)).status, (await served.call(bob)).status]).toEqual([200, 403]);
    await served.running.printed(/debug: request .*route="mcp".*status="200"/);
    expect((await served.stop()).code).toBe(0);
  });

  test.each([
    ['that cannot be read', '{ "serve": { '],
    ['with a value out of range', '{ "serve": { "userRate": 0 } }'],
    ['with a setting that is misspelt', '{ "serve": { "alow": [] } }'],
    ['by which nothing could be verified', '{ "serve": { "verify": "introspection" } }'],
  ])('a file %s keeps everything as it was, and says so', async (_what, text) => {
    const served = await serve([], { allow: { sub: 'alice' } });
    writeFileSync(join(served.home.path, 'config.json'), text);
    served.running.child.kill('SIGHUP');
    await served.running.printed(/error: SIGHUP: the settings stay as they were error="/);
    expect((await served.call(await served.token('alice'))).status).toBe(200);
    expect((await served.call(await served.token('bob'))).status).toBe(403);
    expect((await served.stop()).code).toBe(0);
  });
});

describe('the end', () => {
  test('SIGTERM: not ready, still answering for the delay, then 0; the streams hear of it', async () => {
    const served = await serve(['--drain-delay', '1']);
    const token = await served.token();
    const stream = await openStream(served.port, { authorization: `Bearer ${token}` });
    served.running.child.kill('SIGTERM');
    const ready = await until('draining', 5_000, async () => {
      const answer = await fetch(`http://localhost:${served.port}/readyz`);
      return answer.status === 503 && answer.json();
    });
    expect(ready).toEqual({ status: 'draining' });
    expect((await served.call(token)).status).toBe(200);
    expect((await served.running.finished).code).toBe(0);
    expect(stream.text()).toMatch(/: closing\n\n/);
    served.home.remove();
  });

  test('SIGINT: without the delay', async () => {
    const served = await serve(['--drain-delay', '600']);
    const stream = await openStream(served.port, { authorization: `Bearer ${await served.token()}` });
    expect((await served.stop('SIGINT')).code).toBe(0);
    expect(stream.text()).toMatch(/: closing\n\n/);
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a second signal, %s, ends it at once', async (signal, code) => {
    const served = await serve(['--drain-delay', '600']);
    served.running.child.kill('SIGTERM');
    await served.running.printed(/SIGTERM: finishing/);
    // Not for ever, and nothing is read again on the way out.
    served.running.child.kill('SIGHUP');
    expect((await served.stop(signal)).code).toBe(code);
    expect(served.running.stderr()).not.toContain('SIGHUP');
  });
});

describe('TLS by the server itself, with a private certificate authority', () => {
  let authority: Authority;
  let served: Served;
  const files = () => ({ cert: join(served.home.path, 'cert.pem'), key: join(served.home.path, 'key.pem') });
  const put = ({ cert, key }: Certificate) => {
    writeFileSync(files().cert, cert);
    writeFileSync(files().key, key);
  };
  beforeAll(async () => {
    authority = createAuthority();
    const folder = makeHome();
    const { cert, key } = authority.issue(['localhost']);
    writeFileSync(join(folder.path, 'cert.pem'), cert);
    writeFileSync(join(folder.path, 'key.pem'), key);
    const flags = ['--tls-cert', join(folder.path, 'cert.pem'), '--tls-key', join(folder.path, 'key.pem')];
    served = { ...(await serve(flags)), home: folder };
  });
  afterAll(async () => {
    await served.stop();
    authority.remove();
  });

  test.each(['sse', 'mcp'])('the bridge calls it over https, /%s, and not without --ca', async (path) => {
    const env = { ...served.home.env, MCP_WHOAMI_TOKEN: await served.token() };
    const url = `https://localhost:${served.port}/${path}`;
    const { client, close } = await connectOverStdio(['bridge', url, '--ca', authority.file], env);
    expect(await whoami(client)).toMatchObject({ sub: 'alice', iss: provider.issuer });
    await close();
    const refused = await command(['whoami', url], { env });
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('is not trusted') });
  });

  test('a renewed certificate is taken at SIGHUP, a broken one is not', async () => {
    put(authority.issue(['localhost', 'renewed.test']));
    served.running.child.kill('SIGHUP');
    await served.running.printed(/SIGHUP: the configuration was read again changed="tlsCert"/);
    writeFileSync(files().key, 'nonsense');
    served.running.child.kill('SIGHUP');
    await served.running.printed(/SIGHUP: the settings stay as they were error="[^"]*--tls-key/);
    const env = { ...served.home.env, MCP_WHOAMI_TOKEN: await served.token() };
    const asked = await command(['whoami', `https://localhost:${served.port}/mcp`, '--ca', authority.file], {
      env,
    });
    expect(asked).toMatchObject({ code: 0, stdout: expect.stringContaining('alice') });
  });

  test('files that will not do are exit code 2, and told by name', async () => {
    const { env } = served.home;
    const half = await command(['serve', '--tls-cert', '/dev/null'], { env });
    expect(half).toMatchObject({ code: 2, stderr: expect.stringContaining('--tls-cert needs --tls-key') });
    const none = await command(['serve', '--tls-cert', '/dev/null', '--tls-key', '/dev/null'], { env });
    expect(none).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--tls-cert: /dev/null holds no certificate'),
    });
  });
});
