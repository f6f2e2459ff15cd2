import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { makeHome } from '../support/home.ts';
import { freePort, hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

describe.skipIf(!hasRedis)('Redis over TLS, by a private authority', () => {
  const folder = mkdtempSync(join(tmpdir(), 'redis-tls-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const home = makeHome();
  let redis: TestRedis;
  let url: string;
  beforeAll(async () => {
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    execFileSync(
      'openssl',
      ['req', '-x509', ...curve, '-nodes', ...names, '-keyout', key, '-out', certificate],
      {
        stdio: 'ignore',
      },
    );
    const port = await freePort();
    const tls = ['--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key];
    redis = await startRedis([...tls, '--tls-ca-cert-file', certificate, '--tls-auth-clients', 'no']);
    await redis.ask('ACL', 'SETUSER', 'whoami', 'on', '>hunter2', '~*', '+@all');
    url = `rediss://whoami:hunter2@localhost:${port}`;
  });
  afterAll(async () => {
    await redis.stop();
    home.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function states(args: readonly string[]) {
    const env = { ...home.env, MCP_WHOAMI_REDIS_URL: url };
    const running = start(['serve', '--port', '0', '--no-auth', ...args], { env });
    const [, origin] = await running.printed(/whoami server at (http:\/\/localhost:\d+)\/sse/);
    const readyz = async () => (await (await fetch(`${origin}/readyz`)).json()) as { redis?: string };
    return { running, readyz };
  }

  test('--ca names it', async () => {
    const { running, readyz } = await states(['--ca', certificate]);
    await until('Redis', 10_000, async () => (await readyz()).redis === 'connected');
    const { stderr } = await running.stop('SIGINT');
    expect(stderr).toMatch(/share their streams through Redis at="localhost:\d+"/);
    expect(stderr).not.toContain('hunter2');
  });

  test('without it the server runs, says why it is alone, and repeats no password', async () => {
    const { running, readyz } = await states([]);
    await running.printed(/Redis is away.*certificate/);
    expect(await readyz()).toMatchObject({ status: 'ok', redis: 'degraded' });
    const { stderr } = await running.stop('SIGINT');
    expect(stderr).not.toContain('hunter2');
  });

  test('a bad URL is exit 2, and repeats no password', async () => {
    const env = { ...home.env, MCP_WHOAMI_REDIS_URL: 'http://whoami:hunter2@localhost' };
    const { code, stderr } = await command(['serve', '--no-auth'], { env });
    expect([code, stderr]).toEqual([2, expect.stringContaining('MCP_WHOAMI_REDIS_URL')]);
    expect(stderr).not.toContain('hunter2');
  });
});
