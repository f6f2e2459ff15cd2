import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from '../support/command.ts';
import { makeHome } from '../support/home.ts';
import { type Packed, packPackage } from '../support/packed.ts';
import { threat } from '../support/threats.ts';

const run = promisify(execFile);
let packed: Packed;

beforeAll(async () => {
  packed = await packPackage();
}, 60_000);
afterAll(() => packed.remove());

test(threat('E3', 'holds what it needs and nothing else'), () => {
  const allowed =
    /^(bin\/mcp-whoami\.js|dist\/[\w.-]+\.(js|txt)|dist\/browser\/(page|sign-in|whoami)\.js|dist\/types\/[\w/-]+\.d\.ts|package\.json|config\.schema\.json|(README|CHANGELOG|SECURITY)\.md|LICENSE)$/;
  expect(packed.files.filter((file) => !allowed.test(file))).toEqual([]);
  for (const needed of [
    'bin/mcp-whoami.js',
    'dist/main.js',
    'dist/browser/page.js',
    'dist/server.js',
    'dist/THIRD-PARTY-LICENSES.txt',
    'config.schema.json',
    'LICENSE',
    'README.md',
  ]) {
    expect(packed.files).toContain(needed);
  }
});

test(threat('E3', 'runs elsewhere, without any node_modules: the whole demo'), async () => {
  const home = makeHome({ BROWSER: '', MCP_WHOAMI_STORE: '' });
  try {
    expect(await readdir(packed.path)).not.toContain('node_modules');
    const env = { ...home.env, PATH: process.env.PATH ?? '' };
    const script = join(packed.path, 'bin/mcp-whoami.js');
    const { stdout } = await run(process.execPath, [script, 'demo', '--json'], { cwd: home.path, env });
    expect(JSON.parse(stdout)).toMatchObject({ claims: { sub: 'alice' } });
  } finally {
    home.remove();
  }
});

test(threat('E4', 'the bundle took in the packages that are named here, and no other'), async () => {
  // A new name belongs there with a look at the package: its owner, its age, its licence, its weight.
  const known = await readFile(join(root, 'test/support/bundled-packages.txt'), 'utf8');
  expect([...new Set(await bundled())]).toEqual(known.trimEnd().split('\n'));
});

test(threat('E7', 'the bill of materials lists every package of the bundle, in its version'), async () => {
  const { stdout } = await run('npm', ['run', '--silent', 'sbom'], { cwd: root, maxBuffer: 2 ** 26 });
  const bill = JSON.parse(stdout) as { bomFormat: string; components: { name: string; version: string }[] };
  expect(bill.bomFormat).toBe('CycloneDX');
  const listed = bill.components.map(({ name, version }) => `${name} ${version}`);
  for (const line of await bundled('with versions')) expect(listed).toContain(line);
});

test(threat('E6', 'has no install script, and only the keychain bindings to install'), async () => {
  const { default: manifest } = await import('../../package.json', { with: { type: 'json' } });
  const { scripts, optionalDependencies } = manifest;
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$/.test(name))).toEqual([]);
  expect('dependencies' in manifest).toBe(false);
  expect(Object.keys(optionalDependencies).sort()).toEqual(['@napi-rs/keyring', 'keytar']);
});

/** What the build's list of licences names. */
async function bundled(how?: 'with versions'): Promise<string[]> {
  const text = await readFile(join(root, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
  const parts = text.split(`\n\n${'-'.repeat(80)}\n\n`);
  const titles = parts.map((part) => (part.split('\n', 1)[0] ?? '').split(' '));
  return titles.map(([name = '', version]) => (how ? `${name} ${version}` : name)).sort();
}
