import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { sendRaw } from './support/raw.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await openWorld({ settings: { allowOrigin: ['https://app.example'] } });
  token = await world.token();
});
afterAll(() => world.close());

const bearer = () => ({ authorization: `Bearer ${token}` });
const gated = [
  ['GET', '/sse'],
  ['POST', '/messages'],
  ['POST', '/mcp'],
  ['GET', '/mcp'],
  ['DELETE', '/mcp'],
  ['HEAD', '/sse'],
] as const;

describe('Host (DNS rebinding)', () => {
  const foreign = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1',
    'localhost:1',
    '127.0.0.1.nip.io',
    '',
  ];
  test.each(foreign)(
    threat('R13', 'a request to "%s" is refused with 403 before anything else'),
    async (host) => {
      for (const path of ['/sse', '/messages', '/mcp', '/unknown', '/.well-known/oauth-protected-resource']) {
        const answer = await world.send('GET', path, { Host: host, ...bearer() });
        expect([path, answer.status]).toEqual([path, 403]);
        expect(answer.json()).toMatchObject({ error: 'forbidden_host' });
      }
    },
  );

  test('each loopback name with our port is ours, in any case', async () => {
    const { port } = world.server;
    for (const name of ['localhost', 'LOCALHOST', '127.0.0.1', '[::1]']) {
      expect((await world.send('GET', '/', { Host: `${name}:${port}` })).status).toBe(200);
    }
  });

  test(threat('R16', 'two Host headers are a bad request, also where no Host is checked'), async () => {
    const hosts: [string, string][] = [
      ['Host', `127.0.0.1:${world.server.port}`],
      ['hOST', 'evil.example'],
    ];
    expect((await world.send('GET', '/sse', hosts)).status).toBe(400);
    expect((await world.send('GET', '/healthz', hosts)).status).toBe(400);
  });

  test('probes reach the health routes by any name', async () => {
    expect((await world.send('GET', '/healthz', { Host: '10.1.2.3:80' })).status).toBe(200);
    expect((await world.send('HEAD', '/readyz', { Host: 'pod-7' })).status).toBe(200);
    expect((await world.send('POST', '/readyz', { Host: 'pod-7' })).status).toBe(405);
  });

  test(threat('R14', 'forwarded headers change nothing'), async () => {
    const forged = {
      'X-Forwarded-Host': 'evil.example',
      X_Forwarded_Host: 'evil.example',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Uri': '/healthz',
      'X-Original-URL': '/healthz',
      Forwarded: 'host=evil.example;proto=https',
    };
    const document = await world.send('GET', '/.well-known/oauth-protected-resource/sse', forged);
    expect(document.json().resource).toBe(`${world.origin}/sse`);
    const refused = await world.send('GET', '/sse', forged);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain(`"${world.origin}/.well-known/`);
  });
});

describe('paths and methods', () => {
  test('an unknown path is 404 for everybody, before its Origin is looked at', async () => {
    for (const path of ['/nope', '/sse/', '/mcp/x', '/__proto__', '/constructor', '//sse', '*']) {
      expect((await world.send('GET', path, { Origin: 'https://evil.example' })).status).toBe(404);
    }
    expect((await world.send('GET', `http://127.0.0.1:${world.server.port}/sse`, bearer())).status).toBe(404);
  });

  test.each(gated)('%s %s without a token is 401', async (method, path) => {
    expect((await world.send(method, path)).status).toBe(401);
  });

  test.each([
    ['HEAD', '/sse', 'GET, OPTIONS'],
    ['POST', '/sse', 'GET, OPTIONS'],
    ['PUT', '/sse', 'GET, OPTIONS'],
    ['GET', '/messages', 'POST, OPTIONS'],
    ['GET', '/mcp', 'POST, OPTIONS'],
    ['DELETE', '/mcp', 'POST, OPTIONS'],
    ['TRACE', '/mcp', 'POST, OPTIONS'],
    ['PATCH', '/mcp', 'POST, OPTIONS'],
  ])(threat('R16', '%s %s with a token is 405 and names what is allowed'), async (method, path, allow) => {
    const answer = await world.send(method, path, bearer());
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allow);
  });

  test('GET / says what this is, without a token', async () => {
    const answer = await world.send('GET', '/');
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({
      name: 'WhoAmI',
      endpoints: { sse: `${world.origin}/sse`, streamableHttp: `${world.origin}/mcp` },
    });
    expect((await world.send('HEAD', '/')).status).toBe(200);
    expect((await world.send('POST', '/')).status).toBe(405);
  });
});

describe('Origin (cross-site requests)', () => {
  const foreign = [
    'https://evil.example',
    'null',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost:80@evil.example',
    'file://',
    'http://127.0.0.2:6274',
    'ftp://localhost',
  ];
  test.each(foreign)(
    threat('R13', '%s is refused on every method of every MCP path, token or not'),
    async (origin) => {
      for (const [method, path] of [...gated, ['OPTIONS', '/mcp'] as const]) {
        const answer = await world.send(method, path, { Origin: origin, ...bearer() });
        expect([method, path, answer.status]).toEqual([method, path, 403]);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      }
    },
  );

  test.each(['http://localhost:6274', 'http://127.0.0.1:1', 'https://[::1]:9', 'https://app.example'])(
    '%s is let in and may read the answer',
    async (origin) => {
      const answer = await world.rpc(token, call(), { Origin: origin });
      expect(answer.status).toBe(200);
      expect(answer.headers['access-control-allow-origin']).toBe(origin);
      expect(answer.headers.vary).toBe('Origin');
      expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
    },
  );

  test('errors can be read too, with the headers that a client needs', async () => {
    const answer = await world.send('GET', '/sse', { Origin: 'http://localhost:6274' });
    expect(answer.status).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBe('http://localhost:6274');
    for (const name of ['WWW-Authenticate', 'Mcp-Session-Id', 'MCP-Protocol-Version', 'Retry-After']) {
      expect(answer.headers['access-control-expose-headers']).toContain(name);
    }
  });

  test('a preflight ends before the gate', async () => {
    const answer = await world.send('OPTIONS', '/mcp', {
      Origin: 'http://localhost:6274',
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'authorization, mcp-param-region, x-other, mcp-param-"bad"',
    });
    expect(answer.status).toBe(204);
    expect(answer.headers['access-control-allow-methods']).toBe('GET, POST, DELETE, OPTIONS');
    expect(answer.headers['access-control-allow-headers']).toBe(
      'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, mcp-param-region',
    );
    expect(answer.headers['access-control-max-age']).toBe('600');
    expect(answer.headers).not.toHaveProperty('content-length');
  });

  test('the public documents are open to every page', async () => {
    const origin = { Origin: 'https://evil.example' };
    for (const path of [
      '/.well-known/oauth-protected-resource/mcp',
      '/.well-known/oauth-authorization-server',
    ]) {
      const answer = await world.send('GET', path, origin);
      expect(answer.status).toBe(200);
      expect(answer.headers['access-control-allow-origin']).toBe('*');
      const preflight = await world.send('OPTIONS', path, origin);
      expect(preflight.status).toBe(204);
      expect(preflight.headers['access-control-allow-origin']).toBe('*');
      expect((await world.send('POST', path, origin)).status).toBe(405);
    }
  });

  test('the health routes are for no page', async () => {
    const answer = await world.send('GET', '/readyz', { Origin: 'https://evil.example' });
    expect(answer.status).toBe(200);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });
});

describe('malformed HTTP', () => {
  const host = () => `Host: 127.0.0.1:${world.server.port}\r\n`;
  test.each([
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
    ['a header without a colon', 'oops\r\n'],
    ['a NUL in a header', 'X-A: b\u0000c\r\n'],
  ])(threat('R16', '%s: 400'), async (_what, lines) => {
    const answer = await sendRaw(world.server.port, `POST /mcp HTTP/1.1\r\n${host()}${lines}\r\nhello`);
    expect(answer.status).toBe(400);
  });

  test(threat('R15', 'a header block over 16 KB is 431'), async () => {
    const answer = await world.send('GET', '/sse', { 'X-Long': 'x'.repeat(20_000) });
    expect(answer.status).toBe(431);
  });

  test(threat('R21', 'escapes in a path or a Host reach the log harmlessly'), async () => {
    await world.send('GET', '/sse', { Host: 'a\u001b[2Jb', ...bearer() });
    await world.send('GET', '/sse', { Host: '\u009b31mforged' });
    expect(world.log()).not.toMatch(/[\u001b\u009b]/);
  });
});
