import { describe, expect, test } from 'vitest';
import { browserCommand, openInBrowser, systemOpeners } from '../../../src/lib/browser.ts';
import { missingSessionVariables, noBrowserReason } from '../../../src/lib/desktop.ts';
import { threat } from '../../support/threats.ts';

const there =
  (...paths: string[]) =>
  (path: string) =>
    paths.includes(path);

describe('missingSessionVariables', () => {
  const linux = { platform: 'linux', uid: 1000 } as const;
  test('finds bus and display of a stripped environment', () => {
    const exists = there(
      '/run/user/1000',
      '/run/user/1000/bus',
      '/run/user/1000/wayland-0',
      '/tmp/.X11-unix/X0',
    );
    expect(missingSessionVariables({ ...linux, environment: { HOME: '/h' }, exists })).toEqual({
      XDG_RUNTIME_DIR: '/run/user/1000',
      DBUS_SESSION_BUS_ADDRESS: 'unix:path=/run/user/1000/bus',
      WAYLAND_DISPLAY: 'wayland-0',
      DISPLAY: ':0',
    });
  });
  test('never overrides what is there', () => {
    const environment = { XDG_RUNTIME_DIR: '/x', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/y', DISPLAY: ':7' };
    expect(missingSessionVariables({ ...linux, environment, exists: () => true })).toEqual({});
  });
  test('adds nothing that does not exist, and nothing off Linux', () => {
    expect(missingSessionVariables({ ...linux, environment: {}, exists: () => false })).toEqual({});
    expect(
      missingSessionVariables({ platform: 'darwin', uid: 501, environment: {}, exists: () => true }),
    ).toEqual({});
  });
});

describe('noBrowserReason', () => {
  test.each([
    [{ DISPLAY: ':0' }, undefined],
    [{}, 'there is no display'],
    [{ DISPLAY: ':0', SSH_TTY: '/dev/pts/1' }, 'this is an SSH session'],
    [{ DISPLAY: ':0', CI: 'true' }, 'this is a CI run'],
    [{ BROWSER: 'firefox', CI: 'true' }, undefined],
    [{ BROWSER: 'none', DISPLAY: ':0' }, 'BROWSER is none'],
    [{ DISPLAY: ':0', CI: 'false' }, undefined],
    [{ WAYLAND_DISPLAY: 'wayland-0' }, undefined],
    [{ CODESPACES: 'true' }, 'this is a codespace'],
    [{ CODESPACES: 'true', BROWSER: '/vscode/browser.sh' }, undefined],
    [{ WSL_DISTRO_NAME: 'Debian' }, undefined],
    [{ WSL_DISTRO_NAME: 'Debian', SSH_CONNECTION: 'a 1 b 22' }, 'this is an SSH session'],
    [{ container: 'podman' }, 'this is a container without a display'],
    [{ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, 'this is a container without a display'],
  ])('%j', (environment, reason) =>
    expect(noBrowserReason({ platform: 'linux', environment }, there())).toBe(reason),
  );
  test.each(['/.dockerenv', '/run/.containerenv'])(
    '%s tells of a container, unless it has a display',
    (file) => {
      const reason = (environment: Record<string, string>) =>
        noBrowserReason({ platform: 'linux', environment }, there(file));
      expect(reason({})).toBe('this is a container without a display');
      expect(reason({ DISPLAY: ':0' })).toBeUndefined();
    },
  );
  test('a Mac has a display, unless it is reached over SSH', () => {
    const reason = (environment: Record<string, string>) =>
      noBrowserReason({ platform: 'darwin', environment }, there());
    expect([reason({}), reason({ SSH_TTY: '/dev/ttys001' })]).toEqual([undefined, 'this is an SSH session']);
  });
});

describe('openInBrowser', () => {
  const opened = (command: string) => openInBrowser('http://127.0.0.1:1/', command);
  test.each([
    ['true', true],
    ['false', false],
    ['/nowhere/browser', false],
    ['none', false],
    [`${process.execPath} -e setTimeout(Boolean,4000)`, true],
  ])('%s: %s', async (command, started) => expect(await opened(command)).toBe(started));
});

test.each<[NodeJS.Platform, Record<string, string>, readonly string[]]>([
  ['linux', {}, ['xdg-open']],
  ['linux', { WSL_DISTRO_NAME: 'Debian' }, ['wslview', '/mnt/c/Windows/System32/rundll32.exe', 'xdg-open']],
  ['freebsd', {}, ['xdg-open']],
  ['darwin', {}, ['/usr/bin/open']],
  ['win32', { SystemRoot: 'D:\\Win' }, ['D:\\Win\\System32\\rundll32.exe']],
  ['win32', {}, ['C:\\Windows\\System32\\rundll32.exe']],
])(
  threat('C5', 'on %s %j: no command interpreter, and the URL whole and last'),
  (platform, environment, programs) => {
    const href = 'https://a.example/?a=1&b=$(id)%22;calc';
    const openers = systemOpeners({ platform, environment }, href);
    expect(openers.map(([program]) => program)).toEqual(programs);
    for (const argv of openers) {
      expect(argv.at(-1)).toBe(href);
      expect(argv.join(' ')).not.toMatch(/(?:^|[\\/])(?:cmd|sh|bash|powershell|pwsh)(?:\.exe)?\b/i);
    }
  },
);

describe('browserCommand', () => {
  const href = 'https://a.example/?a=1&b=$(touch%20x)';
  test.each([
    ['none', 'none'],
    ['firefox', ['firefox', href]],
    ['firefox --new-window', ['firefox', '--new-window', href]],
    ['chromium --app %s --x', ['chromium', '--app', href, '--x']],
    [process.execPath, [process.execPath, href]],
  ])('%s', (command, argv) => expect(browserCommand(command, href)).toEqual(argv));
});
