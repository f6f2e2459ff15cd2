import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type FaultClient, startFaultClient, textOf } from '../support/fault-client.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Model, startModel } from '../support/model-server.ts';
import { follow } from '../support/plain-browser.ts';
import { until } from '../support/until.ts';
import { type Listening, listen } from '../unit/auth/support/http.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';

/**
 * An MCP server of revision 2025-03-26 over HTTP+SSE, as many were then: it is its own authorization server, at
 * `/authorize`, `/token` and `/register` of its origin, and publishes no metadata of any kind.
 */
let server: Listening;
let model: Model;
let issuer: Issuer;
let home: Home;
let bridge: FaultClient | undefined;
const accepted = new Set<string>();
const asked: string[] = [];

beforeEach(async () => {
  home = makeHome();
  accepted.clear();
  asked.length = 0;
  issuer = await startIssuer(
    {
      metadataAt: [],
      lifetime: 1,
      grant(answer) {
        accepted.add(String(answer.access_token));
        return answer;
      },
      authorize: ({ iss: _, ...back }) => back,
    },
    '',
  );
  model = await startModel();
  model.gate = ({ headers }, response) => {
    if (accepted.has(headers.authorization?.replace('Bearer ', '') ?? '')) return false;
    response.writeHead(401).end();
    return true;
  };
  server = await listen((incoming, response) => {
    const path = incoming.url?.split('?')[0] ?? '';
    asked.push(`${incoming.method} ${path}`);
    if (['/authorize', '/token', '/register'].includes(path)) forward(incoming, response, issuer.port);
    else if (['/sse', '/messages'].includes(path)) forward(incoming, response, model.port);
    else response.writeHead(404).end();
  });
});
afterEach(async () => {
  await bridge?.discard();
  bridge = undefined;
  await server.close();
  await issuer.close();
  await model.stop();
  home.remove();
});

function forward(incoming: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url, headers } = incoming;
  const onward = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

test('login, bridge, a refresh, logout: all with the endpoints that the revision presumes', async () => {
  const url = `${server.origin}/sse`;
  const login = start(['login', url, '--no-browser'], { env: home.env });
  const [authorization] = await login.printed(/^http:\/\/\S+[?&]code_challenge=\S+$/m);
  const parameters = new URL(authorization).searchParams;
  expect(authorization).toMatch(`${server.origin}/authorize?`);
  expect(parameters.get('code_challenge_method')).toBe('S256');
  expect(parameters.has('resource')).toBe(false);
  await follow(authorization);
  expect(await login.finished).toMatchObject({ code: 0 });
  expect(asked).toEqual(expect.arrayContaining(['POST /register', 'POST /token']));

  bridge = startFaultClient(url, { env: { ...home.env, MCP_WHOAMI_TOKEN: '' } });
  await bridge.ready();
  await until('a refresh', 20_000, async () => {
    if (bridge) expect(textOf(await bridge.call('read'))).toMatch(/^ok/);
    return issuer.refreshes() > 0;
  });
  const status = await command(['status', url], { env: home.env });
  expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining(`issuer   ${server.origin}`) });
  const left = await command(['logout', url], { env: home.env });
  expect(left).toMatchObject({ code: 0, stderr: expect.stringContaining('it offers no revocation') });
});
