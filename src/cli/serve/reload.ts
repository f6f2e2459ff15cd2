import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../../lib/errors.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import { difference } from '../../server/change.ts';
import type { WhoamiServer } from '../../server/server.ts';
import type { LiveLog } from '../live-log.ts';
import { warnOfValidity } from '../server-certificate.ts';
import type { ServeSettings } from './settings.ts';

export interface ReloadOptions {
  readonly server: WhoamiServer;
  readonly log: LiveLog;
  /** What the server was started with. */
  readonly started: ServeSettings;
  /** The demo authorization server's, where it runs. */
  readonly demoIssuer: string | undefined;
  /** Reads the settings as they are now. */
  readonly read: () => Promise<ServeSettings>;
  readonly now: () => number;
}

/**
 * What SIGHUP does: the settings are read again, and those that may change while the server runs are in force at
 * once. One line tells which, and which wait for the next start. Settings that cannot be read, or by which no token
 * could be verified, change nothing.
 */
export function createReload(options: ReloadOptions): () => Promise<void> {
  const { server, log, started, demoIssuer, now } = options;
  let inForce = withDemo(started, demoIssuer);
  let told = started;
  let running = Promise.resolve();

  async function reload(): Promise<void> {
    try {
      const next = await options.read();
      const [settings, held] = compatible(inForce, next, demoIssuer);
      const changes = difference(inForce, settings);
      server.change(settings);
      inForce = { ...inForce, ...Object.fromEntries(changes.now.map((name) => [name, settings[name]])) };
      const spoken = logMembers.filter((name) => told[name] !== next[name]);
      told = next;
      log.switchTo(next.logLevel, next.logFormat);
      const later = [...changes.later.map(memberOf), ...held, ...fixedSince(started, next)];
      // Not twice for the form, which decides about lines of requests, too.
      const at = changes.now.filter((name) => name !== 'logRequests').map(memberOf);
      log.info('SIGHUP: the configuration was read again', {
        changed: [...at, ...spoken].join(', ') || 'nothing',
        'at the next start': later.length > 0 ? later.join(', ') : undefined,
      });
      if (next.server.tls) warnOfValidity(next.server.tls, log, now());
    } catch (error) {
      const hint = error instanceof AppError ? error.hint : undefined;
      log.error('SIGHUP: the settings stay as they were', { error, hint });
    }
  }

  // One after the other, however fast the signals come.
  return () => {
    running = running.then(reload);
    return running;
  };
}

const logMembers = ['logLevel', 'logFormat'] as const;

function withDemo({ server, demo }: ServeSettings, issuer: string | undefined): ServerSettings {
  return demo && issuer ? { ...server, issuers: [{ ...demo.rules, issuer }] } : server;
}

/**
 * Whose tokens are taken can change, but neither that some are, nor that the demo authorization server runs: then its
 * issuers stay as they are. Out: the settings, and the members that wait for the next start.
 */
function compatible(
  inForce: ServerSettings,
  next: ServeSettings,
  demoIssuer: string | undefined,
): readonly [ServerSettings, readonly string[]] {
  const settings = withDemo(next, demoIssuer);
  const isSameKind = (next.demo === undefined) === (demoIssuer === undefined);
  if (isSameKind && settings.noAuth === inForce.noAuth) return [settings, []];
  return [{ ...settings, issuers: inForce.issuers }, ['issuer']];
}

function fixedSince(started: ServeSettings, next: ServeSettings): readonly string[] {
  const ca = isDeepStrictEqual(started.ca, next.ca) ? [] : ['ca'];
  const bothDemo = started.demo && next.demo;
  return bothDemo && started.demo?.port !== next.demo?.port ? [...ca, 'idpPort'] : ca;
}

const members: Readonly<Partial<Record<keyof ServerSettings, string>>> = {
  staleMs: 'stale',
  drainDelayMs: 'drainDelay',
  logRequests: 'logFormat',
  tls: 'tlsCert',
};

/** A setting as the configuration file names it. */
const memberOf = (name: keyof ServerSettings) => members[name] ?? name;
