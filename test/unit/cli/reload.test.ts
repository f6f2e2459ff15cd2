import { describe, expect, test } from 'vitest';
import { createLiveLog } from '../../../src/cli/live-log.ts';
import { createReload } from '../../../src/cli/serve/reload.ts';
import type { ServeSettings } from '../../../src/cli/serve/settings.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { createLog } from '../../../src/lib/log.ts';
import type { ServerSettings } from '../../../src/lib/settings.ts';
import type { WhoamiServer } from '../../../src/server/server.ts';
import { defaultRules, defaults } from '../server/support/world.ts';

type Change = Partial<Omit<ServeSettings, 'server'>> & { readonly server?: Partial<ServerSettings> };

const settings = ({ server, ...rest }: Change = {}): ServeSettings => ({
  demo: undefined,
  ca: undefined,
  logLevel: 'info',
  logFormat: 'text',
  ...rest,
  server: { ...defaults, ...server },
});

/** A reload with a server that notes what it is told to be. In: what was read at the start, and since. */
function world(started: Change, demoIssuer?: string) {
  const changes: ServerSettings[] = [];
  const lines: string[] = [];
  let next: () => ServeSettings = () => settings(started);
  let refuses: AppError | undefined;
  const server = {
    change(given: ServerSettings) {
      if (refuses) throw refuses;
      changes.push(given);
    },
  } as unknown as WhoamiServer;
  const make = (level: 'error' | 'warn' | 'info' | 'debug', format: 'text' | 'json') =>
    createLog({ level, format, write: (line) => void lines.push(line), now: () => 0 });
  const log = createLiveLog(make, 'info', 'text');
  const read = async () => next();
  const reload = createReload({ server, log, started: settings(started), demoIssuer, read, now: () => 0 });
  return {
    changes,
    log,
    last: () => lines.at(-1),
    lines,
    refuse: (error: AppError | undefined) => {
      refuses = error;
    },
    async read(given: Change | Error) {
      next = () => {
        if (given instanceof Error) throw given;
        return settings(given);
      };
      await reload();
    },
    reload,
  };
}

const demo = { rules: defaultRules, port: 3002 };
const own = [{ ...defaultRules, issuer: 'https://auth.example' }];

describe('one line tells', () => {
  test('what is in force, what waits, and that both stay so until they change again', async () => {
    const { read, last } = world({});
    await read({ server: { maxSessions: 5, port: 9 } });
    expect(last()).toContain('again changed="maxSessions" at the next start="port"');
    await read({ server: { maxSessions: 5, port: 9 } });
    expect(last()).toContain('again changed="nothing" at the next start="port"');
    await read({});
    expect(last()).toMatch(/again changed="maxSessions"\n$/);
  });

  test('names as the file has them', async () => {
    const { read, last } = world({});
    await read({ server: { staleMs: 1, drainDelayMs: 1, logRequests: 'all' }, logFormat: 'json' });
    expect(JSON.parse(last() ?? '')).toMatchObject({ changed: 'stale, drainDelay, logFormat' });
    await read({ ca: [{ path: 'a', from: '--ca' }] });
    expect(last()).toContain('at the next start="ca"');
  });
});

test('the log has its new level and form from then on', async () => {
  const { read, log, lines } = world({});
  await read({ logLevel: 'error' });
  log.info('unheard');
  expect(lines.join('')).not.toContain('unheard');
  await read({ logLevel: 'debug', logFormat: 'json' });
  log.debug('heard');
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ level: 'debug', message: 'heard' });
});

describe('whose tokens are taken', () => {
  test('the rules of the demo authorization server change, its port does not', async () => {
    const { read, changes, last } = world({ demo }, 'http://127.0.0.1:3002/oidc');
    await read({ demo: { rules: { ...defaultRules, verify: 'jwt' }, port: 3003 } });
    expect(changes.at(-1)?.issuers).toMatchObject([{ issuer: 'http://127.0.0.1:3002/oidc', verify: 'jwt' }]);
    expect(last()).toContain('changed="issuers" at the next start="idpPort"');
  });

  test.each<[string, Change, string | undefined, Change]>([
    ['the demo gives way to another', { demo }, 'http://127.0.0.1:3002/oidc', { server: { issuers: own } }],
    ['another gives way to the demo', { server: { issuers: own } }, undefined, { demo }],
    ['authentication ends', { server: { issuers: own } }, undefined, { server: { noAuth: true } }],
  ])('%s at the next start only: until then nobody else is let in', async (_what, started, issuer, next) => {
    const { read, changes, last } = world(started, issuer);
    await read(next);
    const before = issuer ? [{ ...defaultRules, issuer }] : own;
    expect(changes.at(-1)?.issuers).toEqual(before);
    expect(last()).toMatch(/at the next start="(noAuth, )?issuer"/);
  });
});

describe('nothing changes', () => {
  test('when the settings cannot be read', async () => {
    const { read, changes, last } = world({});
    await read(new AppError('usage', 'line 3 is not JSON', { hint: 'mend that line' }));
    expect(changes).toEqual([]);
    expect(last()).toContain(
      'error: SIGHUP: the settings stay as they were error="usage: line 3 is not JSON"',
    );
  });

  test('when the server does not take them; the next time they are new again', async () => {
    const { read, refuse, last } = world({});
    refuse(new AppError('metadata_invalid', 'there is no way'));
    await read({ server: { maxSessions: 5 }, logLevel: 'debug' });
    expect(last()).toContain('stay as they were');
    refuse(undefined);
    await read({ server: { maxSessions: 5 }, logLevel: 'debug' });
    expect(last()).toContain('changed="maxSessions, logLevel"');
  });
});
