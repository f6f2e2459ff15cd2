import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openLoopback } from '../../src/auth/redirect/loopback.ts';
import { answersState, judgeRedirect } from '../../src/auth/redirect/redirect.ts';
import type { AuthorizationRequest } from '../../src/auth/authorization-request.ts';
import { AppError } from '../../src/lib/errors.ts';
import { threat } from '../support/threats.ts';
import { fuzz, mutated, oddText } from './support/fuzz.ts';

const state = 'xXzK-9d2_mK0wq7Lr5tYb3NcEfGhJiKlMnOpQrStUvW';
const issuer = 'https://as.example/tenant';

const nearState = fc.oneof(
  { weight: 6, arbitrary: fc.constant(state) },
  fc.constantFrom(state.slice(0, -1), `${state}x`, state.toLowerCase(), '', ` ${state}`, `${state}\0`),
  mutated(fc.constant(state)),
);
const nearIssuer = fc.oneof(
  { weight: 3, arbitrary: fc.constant(issuer) },
  fc.constantFrom(`${issuer}/`, issuer.toUpperCase(), '', 'https://evil.example', `${issuer}%2f`),
  mutated(fc.constant(issuer)),
);
const parameter = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('state'), nearState) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constant('code'), fc.oneof(fc.constant('SplxlOBeZQQYbYS6WxSbIA'), oddText)),
  },
  { weight: 3, arbitrary: fc.tuple(fc.constant('iss'), nearIssuer) },
  fc.tuple(fc.constant('error'), fc.oneof(fc.constantFrom('access_denied', 'invalid_scope', ''), oddText)),
  fc.tuple(fc.constant('error_description'), fc.oneof(fc.constant('call-this-number'), oddText)),
  fc.tuple(fc.constantFrom('State', 'state[]', 'code ', 'ISS', 'session_state', '__proto__'), oddText),
);
const parameters = fc.array(parameter, { maxLength: 7 });

const single = ['state', 'code', 'error', 'iss'];
/** The rule, on the list that the parameters were made from. */
function isOurs(pairs: readonly (readonly [string, string])[]): boolean {
  const of = (name: string) => pairs.filter(([key]) => key === name).map(([, value]) => value);
  if (single.some((name) => of(name).length > 1)) return false;
  return of('state')[0] === state && Boolean(of('code')[0] || of('error')[0]);
}

const encoded = (pairs: readonly (readonly [string, string])[]) =>
  new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value])).toString();

test(
  threat(
    ['L1', 'L7', 'C3', 'C4'],
    'fuzz: redirect parameters: only ours get on, and nothing of a foreign issuer is shown',
  ),
  async () => {
    await fuzz(
      'redirect parameters',
      fc.property(parameters, fc.boolean(), (pairs, announced) => {
        const read = new URLSearchParams(encoded(pairs));
        const sent = [...read].map(([name, value]) => [name, value] as const);
        const ours = answersState(read, state);
        expect(ours).toBe(isOurs(sent));
        if (!ours) return;
        const server = { issuer, authorization_response_iss_parameter_supported: announced };
        const request = { server, resource: undefined } as unknown as AuthorizationRequest;
        let refusal: unknown;
        try {
          judgeRedirect(read, request, 'sign in again');
        } catch (error) {
          refusal = error;
        }
        const iss = read.get('iss');
        const genuine = iss === null ? !announced : iss === issuer;
        expect(refusal === undefined).toBe(genuine && !read.get('error'));
        if (refusal === undefined) return;
        if (!(refusal instanceof AppError)) throw refusal;
        const shown = `${refusal.message} ${refusal.hint}`;
        expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e\u200b\ufeff]/);
        if (!genuine) expect(shown).not.toMatch(/call-this-number|evil/);
      }),
      0.9,
    );
  },
);

const head = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'POST', 'HEAD', 'PUT', 'get', 'GET\t', 'PRI', 'CONNECT'),
  path: fc.oneof(
    fc.constantFrom(
      '/callback',
      '/callback',
      '/callback/',
      '/CALLBACK',
      '/%63allback',
      '/done',
      '/',
      '*',
      '//callback',
    ),
    fc.constant('http://HOST/callback'),
    mutated(fc.constant('/callback')),
  ),
  version: fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1.1x', ''),
  host: fc.constantFrom(
    'HOST',
    'HOST',
    'evil.example',
    'localhost:PORT',
    'HOST:80',
    '',
    '127.0.0.1',
    'HOST.evil.example',
  ),
  more: fc.constantFrom(
    '',
    'Host: evil.example',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'X: \0',
    ' folded: x',
    'Connection: upgrade\r\nUpgrade: websocket',
    'Expect: 100-continue',
  ),
  eol: fc.constantFrom('\r\n', '\r\n', '\n', '\r'),
  pairs: parameters,
});

type Head = typeof head extends fc.Arbitrary<infer T> ? T : never;

/** Sends bytes as they are, and waits for the end of the connection. */
function send(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.end(text));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

test(
  threat(
    ['L1', 'L2', 'L5', 'L7'],
    'fuzz: raw requests to the listener: what is not the redirect is refused, and it listens on',
  ),
  async () => {
    const loopback = await openLoopback({ host: '127.0.0.1', port: 0, state, patienceMs: 2_000 });
    const { host, port } = new URL(loopback.redirectUri);
    let arrived = 0;
    void loopback.redirect.then(() => arrived++);
    const write = ({ method, path, version, host: named, more, eol, pairs }: Head) => {
      const own = (text: string) => text.replaceAll('HOST', host).replaceAll('PORT', port);
      const lines = [`${method} ${own(path)}?${encoded(pairs)} ${version}`, `Host: ${own(named)}`];
      return [...lines, ...(more ? [more] : []), '', ''].join(eol);
    };
    await fuzz(
      'raw requests',
      fc.asyncProperty(fc.array(head, { minLength: 1, maxLength: 2 }), async (heads) => {
        // The one request that has to get through is for the end.
        fc.pre(!heads.some(({ pairs }) => isOurs([...new URLSearchParams(encoded(pairs))])));
        const answer = await send(Number(port), heads.map(write).join(''));
        for (const [, status] of answer.matchAll(/HTTP\/1\.1 (\d{3})/g))
          expect(status).toMatch(/^(?:100|4\d\d)$/);
        expect(answer).not.toMatch(/location:/i);
        expect(arrived).toBe(0);
      }),
      0.1,
    );
    const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
    expect((await loopback.redirect).get('code')).toBe('good');
    await loopback.finish({ signedIn: true, name: 'Alice', server: 'https://mcp.example/mcp' });
    expect(await (await page).text()).toContain('You are signed in');
  },
);
