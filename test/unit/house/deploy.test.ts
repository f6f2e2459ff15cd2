import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { serverOptions } from '../../../src/cli/settings/server.ts';

const folder = join(import.meta.dirname, '../../../examples/deploy');
const scratch = mkdtempSync(join(tmpdir(), 'deploy-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.\w+$|file$/.test(name),
);
const textOf = (name: string) => readFileSync(join(folder, name), 'utf8');

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${status}\n${stdout}${stderr}`;
}

test.each(files.filter((name) => name.endsWith('.yaml')))('%s is YAML, without a repeated key', (name) => {
  const documents = parseAllDocuments(textOf(name), { merge: true });
  for (const { errors, warnings } of documents) expect([...errors, ...warnings]).toEqual([]);
  expect(documents.length).toBeGreaterThan(0);
});

test('every variable and flag in the examples is one that serve knows', () => {
  const options = Object.values(serverOptions) as { flag?: string; variables?: readonly string[] }[];
  const variables = options.flatMap((option) => option.variables ?? []);
  const flags = options.flatMap(({ flag }) => (flag ? [flag] : []));
  for (const name of files) {
    const text = textOf(name);
    for (const [variable] of text.matchAll(/MCP_WHOAMI_\w+/g)) {
      expect([...variables, 'MCP_WHOAMI_CONFIG_DIR']).toContain(variable);
    }
    const served = /^(?:ExecStart=.*|CMD \["serve".*)$/m.exec(text)?.[0] ?? '';
    for (const [, flag] of served.matchAll(/--([a-z][a-z-]+)/g)) expect(flags).toContain(flag);
  }
});

const nginx = '/usr/sbin/nginx';
test.skipIf(!existsSync(nginx))('nginx reads its file', () => {
  const [key, certificate] = [join(scratch, 'key.pem'), join(scratch, 'certificate.pem')];
  const subject = ['-subj', '/CN=whoami.example.com', '-keyout', key, '-out', certificate];
  run(
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...subject,
  );
  const text = textOf('nginx/whoami.conf')
    .replaceAll(/whoami-\d:3001/g, '127.0.0.1:3001')
    .replace('/etc/nginx/tls/fullchain.pem', certificate)
    .replace('/etc/nginx/tls/privkey.pem', key);
  const path = join(scratch, 'nginx.conf');
  writeFileSync(path, `pid ${scratch}/pid;\nevents {}\nhttp {\n${text}\n}\n`);
  expect(run(nginx, '-t', '-e', join(scratch, 'log'), '-p', scratch, '-c', path)).toMatch(
    /^0\n[\s\S]*test is successful/,
  );
});

const caddy = '/usr/bin/caddy';
test.skipIf(!existsSync(caddy))('Caddy reads its file', () => {
  const path = join(folder, 'caddy/Caddyfile');
  expect(run(caddy, 'validate', '--adapter', 'caddyfile', '--config', path)).toMatch(/^0\n[\s\S]*Valid/);
});

const analyze = '/usr/bin/systemd-analyze';
test.skipIf(!existsSync(analyze))('systemd reads its unit', () => {
  const path = join(scratch, 'mcp-whoami@.service');
  writeFileSync(
    path,
    textOf('systemd/mcp-whoami@.service').replace('/usr/local/bin/mcp-whoami', process.execPath),
  );
  expect(run(analyze, 'verify', path)).toBe('0\n');
});
