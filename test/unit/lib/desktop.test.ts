import { describe, expect, test } from 'vitest';
import { browserCommand } from '../../../src/lib/browser.ts';
import { missingSessionVariables, noBrowserReason } from '../../../src/lib/desktop.ts';

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
  ])('%j', (environment, reason) => expect(noBrowserReason({ platform: 'linux', environment })).toBe(reason));
  test('a Mac has a display', () =>
    expect(noBrowserReason({ platform: 'darwin', environment: {} })).toBeUndefined());
});

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
