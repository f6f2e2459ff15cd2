import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/**
 * A real Secret Service of its own: a private D-Bus, gnome-keyring-daemon on it, a home and a runtime folder.
 * Nothing starts services by itself on that bus, so what is stopped stays stopped and nobody can be asked for
 * the password.
 */
export interface Keyring {
  /** HOME, XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS, for the processes that are to use it. */
  readonly env: Record<string, string>;
  /** What is stored stays, and cannot be read: the daemon starts anew without the password. */
  lock(): Promise<void>;
  unlock(): Promise<void>;
  /** The bus is there, the service is not. `unlock` brings it back. */
  stopService(): Promise<void>;
  /** The service takes questions and answers none, like one that waits for a person. */
  freeze(): void;
  thaw(): void;
  /** Ends both processes and removes the folders. */
  stop(): Promise<void>;
}

const programs = ['/usr/bin/dbus-daemon', '/usr/bin/dbus-send', '/usr/bin/gnome-keyring-daemon'];
const password = 'the password of a test';

/** Why no Secret Service can be started here; `undefined` when it can. For `skipIf`. */
export const keyringMissing: string | undefined =
  process.platform === 'linux'
    ? programs.filter((path) => !existsSync(path)).join(', ') || undefined
    : 'not Linux';

/** Whether a native binding loads here. For `skipIf`. */
export function bindingLoads(name: 'keytar' | '@napi-rs/keyring'): boolean {
  try {
    createRequire(import.meta.url)(name);
    return true;
  } catch {
    return false;
  }
}

/** Starts an unlocked keyring. Rejects after 15 s. */
export async function withKeyring(): Promise<Keyring> {
  const home = mkdtempSync(join(tmpdir(), 'keyring-'));
  const runtime = join(home, 'run');
  mkdirSync(runtime, { mode: 0o700 });
  const address = `unix:path=${join(runtime, 'bus')}`;
  const env = { HOME: home, XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: address };
  const config = join(home, 'bus.conf');
  writeFileSync(config, busConfig(address));
  const options = { env: { PATH: process.env.PATH, ...env } };
  const bus = run('dbus-daemon', [`--config-file=${config}`, '--nofork']);
  let daemon: ChildProcess | undefined;

  function run(program: string, args: readonly string[]): ChildProcess {
    return spawn(program, args, { ...options, stdio: ['pipe', 'ignore', 'ignore'] });
  }

  async function send(path: string, method: string, ...args: string[]): Promise<string> {
    const target = method.startsWith('org.freedesktop.DBus.Name') ? 'org.freedesktop.DBus' : secrets;
    const to = ['--session', '--print-reply', '--reply-timeout=2000', `--dest=${target}`];
    const { stdout } = await promisify(execFile)('dbus-send', [...to, path, method, ...args], options);
    return stdout;
  }

  async function startDaemon(unlocked: boolean): Promise<void> {
    await stopService();
    const args = ['--foreground', '--components=secrets', ...(unlocked ? ['--unlock'] : [])];
    daemon = run('gnome-keyring-daemon', args);
    daemon.stdin?.on('error', () => {});
    daemon.stdin?.end(unlocked ? password : '');
    const state = `boolean ${!unlocked}`;
    const collection = [
      '/org/freedesktop/secrets/collection/login',
      'org.freedesktop.DBus.Properties.Get',
    ] as const;
    const property = ['string:org.freedesktop.Secret.Collection', 'string:Locked'];
    await eventually(async () => (await send(...collection, ...property)).includes(state));
  }

  async function stopService(): Promise<void> {
    await end(daemon);
    daemon = undefined;
    const owner = () => send('/', 'org.freedesktop.DBus.NameHasOwner', `string:${secrets}`);
    await eventually(async () => (await owner()).includes('boolean false'));
  }

  async function stop(): Promise<void> {
    await end(daemon);
    await end(bus);
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }

  try {
    await startDaemon(true);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    env,
    lock: () => startDaemon(false),
    unlock: () => startDaemon(true),
    stopService,
    freeze: () => void daemon?.kill('SIGSTOP'),
    thaw: () => void daemon?.kill('SIGCONT'),
    stop,
  };
}

const secrets = 'org.freedesktop.secrets';

const busConfig = (address: string) => `<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>${address}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`;

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  let last: unknown;
  for (const end = Date.now() + 15_000; Date.now() < end; await delay(25)) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
  }
  throw new Error('the Secret Service did not come to the wanted state within 15 s', { cause: last });
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  // A frozen process takes this signal alone.
  child.kill('SIGKILL');
  await ended;
}
