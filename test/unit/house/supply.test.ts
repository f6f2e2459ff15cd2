import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../support/command.ts';
import { threat } from '../../support/threats.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: `src/${file}`, text: read(`src/${file}`) }));
const filesWith = (pattern: RegExp) =>
  sources.filter(({ text }) => pattern.test(text)).map(({ file }) => file);

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}
interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}
const lock = JSON.parse(read('package-lock.json')) as Lock;
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string> | undefined>;

test(threat('E1', 'no text is run as code anywhere in src'), () => {
  expect(sources.length).toBeGreaterThan(100);
  expect(filesWith(/\beval\s*\(|\bFunction\s*\(|['"](?:node:)?(?:vm|repl|inspector)(?:\/\w+)?['"]/)).toEqual(
    [],
  );
  expect(filesWith(/\bset(?:Timeout|Interval)\(\s*['"`]/)).toEqual([]);
});

test(
  threat('E2', 'processes are started by the leaves that are named here, and never through a shell'),
  () => {
    // A new file belongs here only with a word on what it starts and what reaches its arguments.
    const leaves = ['src/lib/browser.ts', 'src/lib/run-command.ts', 'src/vault/keychain/child.ts'];
    expect(filesWith(/child_process|worker_threads|['"](?:node:)?cluster['"]/).sort()).toEqual(leaves);
    expect(filesWith(/\bshell:(?!\s*false\b)|\bexec(?:Sync)?\(\s*['"`]/)).toEqual([]);
  },
);

test(threat('S4', 'nothing we start with opens the inspector, or writes memory to a file'), () => {
  expect(read('bin/mcp-whoami.js').split('\n', 1)).toEqual(['#!/usr/bin/env node']);
  const launcher = read('bin/mcp-whoami.js');
  const dumps = /--inspect|heapsnapshot|HeapSnapshot|process\.report|report-on|--abort-on/;
  expect(launcher).not.toMatch(dumps);
  expect(filesWith(dumps)).toEqual([]);
});

test(threat('E5', 'the lock file names every package by its content, and no host to get it from'), () => {
  expect(locked.length).toBeGreaterThan(50);
  for (const [path, { integrity, resolved, link }] of locked) {
    expect(integrity, path).toMatch(/^sha512-[\w+/]{86}==$/);
    expect(resolved, path).toBeUndefined();
    expect(link, path).toBeUndefined();
  }
  expect(read('.npmrc')).toContain('omit-lockfile-registry-resolved=true');
  expect(read('.ci/run')).toMatch(/\bnpm ci\b/);
  expect(read('.ci/run')).not.toMatch(/\bnpm (?:i|install|update)\b/);
});

test(threat('E5', 'no package comes from an address, a repository or a folder'), () => {
  const wanted = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'].flatMap(
    (kind) => Object.entries(manifest[kind] ?? {}),
  );
  for (const [name, range] of wanted) expect(range, name).toMatch(/^[~^]?\d+\.\d+\.\d+$/);
});

test(threat('E6', 'the packages with a script at installation are the two that package.json allows'), () => {
  const names = locked
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  // vite's file watcher for another system: never installed where its system is not.
  const elsewhere = ['fsevents'];
  const allowed = Object.keys(manifest.allowScripts ?? {});
  expect(names.filter((name) => !allowed.includes(name) && !elsewhere.includes(name))).toEqual([]);
});

test(threat('L9', 'SECURITY.md says what no client can prevent'), () => {
  const text = read('SECURITY.md').replace(/\s+/g, ' ');
  expect(text).toMatch(/pose as this client at the authorization server \(RFC 8252, 8\.6\)/);
  expect(text).toMatch(/never trusts a client id/);
});
