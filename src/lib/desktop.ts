import { existsSync } from 'node:fs';
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly environment: Environment;
  /** The user's numeric id; `undefined` on Windows. */
  readonly uid: number | undefined;
  exists(path: string): boolean;
}

/**
 * The variables of a graphical session that desktop clients leave out when they start us (MCP clients pass
 * little more than HOME and PATH), where the session can be found without them. Linux only: elsewhere neither
 * the keychain nor the browser depends on the environment.
 */
export function missingSessionVariables({
  platform,
  environment,
  uid,
  exists,
}: Machine): Record<string, string> {
  if (platform !== 'linux' || uid === undefined) return {};
  const found: Record<string, string> = {};
  const runtime = environment.XDG_RUNTIME_DIR || `/run/user/${uid}`;
  const add = (name: string, value: string, path: string) => {
    if (!environment[name] && exists(path)) found[name] = value;
  };
  add('XDG_RUNTIME_DIR', runtime, runtime);
  add('DBUS_SESSION_BUS_ADDRESS', `unix:path=${join(runtime, 'bus')}`, join(runtime, 'bus'));
  if (!environment.DISPLAY && !environment.WAYLAND_DISPLAY) {
    add('WAYLAND_DISPLAY', 'wayland-0', join(runtime, 'wayland-0'));
    add('DISPLAY', ':0', '/tmp/.X11-unix/X0');
  }
  return found;
}

/** Why no browser can be shown to a person here; `undefined` when one can. A set `BROWSER` is always believed. */
export function noBrowserReason(
  { platform, environment }: Pick<Machine, 'platform' | 'environment'>,
  exists: Machine['exists'] = existsSync,
): string | undefined {
  if (environment.BROWSER) return environment.BROWSER.trim() === 'none' ? 'BROWSER is none' : undefined;
  if (environment.CI && !['0', 'false'].includes(environment.CI)) return 'this is a CI run';
  if (environment.SSH_CONNECTION || environment.SSH_TTY) return 'this is an SSH session';
  if (platform !== 'linux' || environment.DISPLAY || environment.WAYLAND_DISPLAY) return undefined;
  if (environment.CODESPACES) return 'this is a codespace';
  if (isContainer(environment, exists)) return 'this is a container without a display';
  // The browser of the Windows around it can be started, and reaches our loopback address.
  return environment.WSL_DISTRO_NAME || environment.WSL_INTEROP ? undefined : 'there is no display';
}

/** Docker, Podman, systemd-nspawn and their like, Kubernetes. */
function isContainer(environment: Environment, exists: Machine['exists']): boolean {
  return (
    Boolean(environment.container || environment.KUBERNETES_SERVICE_HOST) ||
    ['/.dockerenv', '/run/.containerenv'].some(exists)
  );
}
