// `npm test`: sets the machine up where it may, builds, then every check. Ends with one line that counts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { threatTable } from './threats.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const reports = join(root, '.tmp');
const totals = { passed: 0, failed: 0, skipped: 0 };

const run = (title, command, args, options = {}) => {
  console.log(`\n── ${title}`);
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options }).status === 0;
};

installSystemPackages();
installKeytar();
mkdirSync(reports, { recursive: true });

check('build', 'node', ['scripts/build.mjs']);
check('types', 'npm', ['run', '--silent', 'typecheck']);
check('lint', 'npx', ['--no-install', 'biome', 'lint', '--error-on-warnings', '.']);
check('format', 'npx', ['--no-install', 'biome', 'format', '.']);
const counted = ['unit', 'fuzz', 'end-to-end'].map(suite);
for (const transport of ['http', 'sse']) {
  const order = ['--calls', '20000', '--seed', '7', '--transport', transport];
  check(`soak over ${transport}: 20,000 calls through a faulty network`, 'node', [
    'scripts/soak.mjs',
    ...order,
  ]);
}
tellThreats();

const { passed, failed, skipped } = totals;
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed > 0 ? 1 : 0;

function check(title, command, args) {
  totals[run(title, command, args) ? 'passed' : 'failed']++;
}

function suite(project) {
  const report = join(reports, `${project}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`];
  const ok = run(`${project} tests`, 'npx', [
    '--no-install',
    'vitest',
    'run',
    '--project',
    project,
    ...reporters,
  ]);
  const counted = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
  totals.passed += counted.numPassedTests ?? 0;
  totals.skipped += (counted.numPendingTests ?? 0) + (counted.numTodoTests ?? 0);
  // A file that cannot even be loaded counts no failed test; it is one all the same.
  totals.failed += Math.max(counted.numFailedTests ?? 0, ok ? 0 : 1);
  return counted;
}

/** Every row of the threat table needs a test that has just passed. */
function tellThreats() {
  const { lines, bare } = threatTable(root, counted);
  console.log(`\n── threats\n${lines.join('\n')}`);
  totals[bare === 0 ? 'passed' : 'failed']++;
}

/** Chromium, a terminal, a Secret Service for the keychain, a compiler for its native binding, the servers of the tests. */
function installSystemPackages() {
  const wanted = {
    chromium: '/usr/bin/chromium',
    dbus: '/usr/bin/dbus-daemon',
    'gnome-keyring': '/usr/bin/gnome-keyring-daemon',
    'libsecret-tools': '/usr/bin/secret-tool',
    'libsecret-1-dev': '/usr/include/libsecret-1/libsecret/secret.h',
    python3: '/usr/bin/python3',
    tmux: '/usr/bin/tmux',
    make: '/usr/bin/make',
    'g++': '/usr/bin/g++',
    'redis-server': '/usr/bin/redis-server',
    nginx: '/usr/sbin/nginx',
    caddy: '/usr/bin/caddy',
    systemd: '/usr/bin/systemd-analyze',
    glewlwyd: '/usr/bin/glewlwyd',
    sqlite3: '/usr/bin/sqlite3',
    openssl: '/usr/bin/openssl',
  };
  const missing = Object.keys(wanted).filter((name) => !existsSync(wanted[name]));
  if (missing.length === 0) return;
  const may = process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (!may) {
    console.log(
      `Not installed, and not ours to install: ${missing.join(', ')}. The tests that need them are skipped.`,
    );
    return;
  }
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // Their packages start services, one with a well-known password: the tests start their own, on loopback.
  const services = ['glewlwyd', 'redis-server', 'nginx', 'caddy'].filter((name) => missing.includes(name));
  if (services.length > 0 && existsSync('/run/systemd/system')) {
    run(`keeping ${services.join(', ')} from starting`, 'systemctl', ['mask', ...services], options);
  }
  run(`installing ${missing.join(', ')}`, 'apt-get', ['update', '-qq'], options);
  run('', 'apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], options);
}

/** `npm ci` gives keytar up quietly where its compiler or headers were missing; now they are there. */
function installKeytar() {
  const require = createRequire(import.meta.url);
  try {
    require('keytar');
    return;
  } catch {}
  const { version } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages[
    'node_modules/keytar'
  ];
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
  run('building keytar', 'npm', ['install', '--no-save', '--no-audit', `keytar@${version}`], {
    env: { ...process.env, ...headers },
  });
}
