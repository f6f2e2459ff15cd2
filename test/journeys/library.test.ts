import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type DemoProvider, openDemoProvider } from '../../src/idp/provider.ts';
import { silentLog } from '../../src/lib/log.ts';
import { root } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio } from '../support/mcp.ts';
import { type Packed, packPackage } from '../support/packed.ts';
import { serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';

const run = promisify(execFile);
/** What the examples need beside the package, as a reader would install it. */
const companions = ['@modelcontextprotocol', '@hono', '@types', 'express', 'hono', 'jose', 'zod'];
let packed: Packed;
let project: string;
let home: Home;
const ends: (() => unknown)[] = [];

/** A project that has installed the package, and the examples in it as they stand. */
beforeAll(async () => {
  packed = await packPackage();
  project = packed.folder;
  home = makeHome();
  await mkdir(join(project, 'node_modules'));
  await rename(packed.path, join(project, 'node_modules/mcp-whoami'));
  for (const name of companions) {
    await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name), 'dir');
  }
  for (const file of await readdir(join(root, 'examples'))) {
    if (file.endsWith('.mjs')) await cp(join(root, 'examples', file), join(project, file));
  }
}, 60_000);
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(async () => {
  home.remove();
  await packed.remove();
});

/** Starts an example. Out: once it listens, the address that it prints. */
async function startExample(file: string, env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [file], {
    cwd: project,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  ends.push(() => {
    child.kill();
    return gone;
  });
  let said = '';
  return new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const address = /^http:\S+$/m.exec(said)?.[0];
      if (address) resolve(address);
    });
    void gone.then(() => reject(new Error(`${file} ended: ${said}`)));
  });
}

/** The demo authorization server, for one resource. */
async function openIssuer(resource: string): Promise<DemoProvider> {
  const stateDir = await mkdtemp(join(tmpdir(), 'whoami-issuer-'));
  const issuer = await openDemoProvider({
    host: '127.0.0.1',
    port: 0,
    stateDir,
    resources: () => [resource],
    log: silentLog,
  });
  ends.push(async () => {
    await issuer.close();
    await rm(stateDir, { recursive: true, force: true });
  });
  return issuer;
}

async function greet(url: string, profile: string): Promise<string> {
  const { client, close } = await connectOverStdio(
    ['bridge', url, '--login', 'never', '--profile', profile],
    home.env,
  );
  ends.push(close);
  const { content } = await client.callTool({ name: 'greet', arguments: {} });
  return (content as { text: string }[])[0]?.text ?? '';
}

describe('an example, signed in to and called through the bridge', () => {
  test.each([
    ['sdk-express.mjs', 'mcp'],
    ['sdk-node-http.mjs', 'sse'],
    ['fetch-hono.mjs', 'mcp'],
  ])('%s', async (file, path) => {
    const port = String(await freePort());
    const { issuer } = await openIssuer(`http://localhost:${port}/${path}`);
    const url = await startExample(file, { PORT: port, ISSUER: issuer });
    const refused = await fetch(url);
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toContain(
      `resource_metadata="http://localhost:${port}/.well-known/oauth-protected-resource/${path}"`,
    );
    for (const [profile, user] of [
      ['default', 'alice'],
      ['other', 'bob'],
    ] as const) {
      const login = await signIn(url, home.env, ['--profile', profile], user);
      expect(login.code, login.stderr).toBe(0);
    }
    expect(await greet(url, 'default')).toBe('Hello, Alice Liddell!');
    expect(await greet(url, 'other')).toMatch(/^Hello, Bob /);
  });

  test('behind-upstream.mjs, with the gate of the command in front', async () => {
    const port = String(await freePort());
    const upstream = `http://127.0.0.1:${port}/mcp`;
    const gate = await serve(['--upstream', upstream]);
    ends.push(() => gate.stop());
    await startExample('behind-upstream.mjs', { PORT: port, GATE: gate.origin });
    const login = await signIn(gate.mcp, home.env, ['--profile', 'front']);
    expect(login.code, login.stderr).toBe(0);
    expect(await greet(gate.mcp, 'front')).toBe('Hello, Alice Liddell!');
    const forged = { 'x-whoami-identity': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.' };
    expect((await fetch(upstream, { method: 'POST', headers: forged })).status).toBe(403);
  });
});

describe('the types', () => {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  async function check(options: readonly string[]): Promise<string> {
    const common = ['--noEmit', '--strict', '--types', 'node', '--target', 'es2022'];
    return run(process.execPath, [compiler, ...common, ...options], { cwd: project }).then(
      () => 'no error',
      (error: { stdout: string }) => error.stdout,
    );
  }

  test('are right for the examples and the SDK', async () => {
    const examples = (await readdir(project)).filter((file) => file.endsWith('.mjs'));
    const options = [
      '--allowJs',
      '--checkJs',
      '--skipLibCheck',
      '--target',
      'es2022',
      '--module',
      'nodenext',
    ];
    expect(await check([...options, ...examples])).toBe('no error');
  });

  test.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('stand by themselves: --module %s --moduleResolution %s', async (module, resolution) => {
    const wrong = "// @ts-expect-error\ncreateGate({ resource: 'https://a.example/mcp' });\n";
    const text = `import { createGate, type Gate, identityOf } from 'mcp-whoami/server';
export const gate: Gate = createGate({ resource: 'https://a.example/mcp', issuer: 'https://b.example' });
export const handle = gate.fetch((request) => new Response(identityOf(request).subject));
${wrong}`;
    await writeFile(join(project, 'consumer.mts'), text);
    const options = ['--exactOptionalPropertyTypes', '--module', module, '--moduleResolution', resolution];
    expect(await check([...options, 'consumer.mts'])).toBe('no error');
  });

  test('show what is public, and nothing else', async () => {
    const types = join(project, 'node_modules/mcp-whoami/dist/types');
    const files = await readdir(types, { recursive: true });
    expect(files.filter((file) => file.endsWith('.d.ts')).sort()).toEqual([
      'lib/identity.d.ts',
      'server/library/identity.d.ts',
      'server/library/index.d.ts',
      'server/library/types.d.ts',
    ]);
  });
});

test('the library is one module: two exports, and nothing else of the package can be imported', async () => {
  const script = `
    const library = await import('mcp-whoami/server');
    const other = await import('mcp-whoami/dist/main.js').catch((error) => error.code);
    console.log(JSON.stringify([Object.keys(library).sort(), other]));`;
  await writeFile(join(project, 'consumer.mjs'), script);
  const { stdout, stderr } = await run(process.execPath, ['consumer.mjs'], { cwd: project });
  expect(JSON.parse(stdout)).toEqual([['createGate', 'identityOf'], 'ERR_PACKAGE_PATH_NOT_EXPORTED']);
  expect(stderr).toBe('');
});
