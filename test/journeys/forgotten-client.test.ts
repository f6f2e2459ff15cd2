import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, type StdioClient, whoami } from '../support/mcp.ts';
import { type Emulator, emulate } from '../support/providers/emulator.ts';
import { keycloak } from '../support/providers/quirks.ts';
import { type Serving, serve } from '../support/serve.ts';

/** A provider that forgets the clients that registered themselves, and a bridge that signs in on demand. */
let home: Home;
let emulator: Emulator;
let serving: Serving | undefined;
const clients: StdioClient[] = [];
beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await serving?.stop();
  await emulator.close();
  home.remove();
});

/** The person's browser: it follows redirects, and notes each time that it is opened. */
function browser(): Record<string, string> {
  const script = join(home.path, 'browser.mjs');
  const log = join(home.path, 'opened');
  writeFileSync(log, '');
  writeFileSync(
    script,
    `import { appendFileSync } from 'node:fs';
     appendFileSync(${JSON.stringify(log)}, 'opened\\n');
     await fetch(process.argv[2]);`,
  );
  return { ...home.env, BROWSER: `${process.execPath} ${script} %s` };
}
const timesOpened = () => readFileSync(join(home.path, 'opened'), 'utf8').split('\n').length - 1;
const registrations = () => emulator.seen.filter((path) => path.endsWith('/register')).length;

async function connect(): Promise<StdioClient> {
  const client = await connectOverStdio(['bridge', serving?.mcp ?? ''], browser());
  clients.push(client);
  return client;
}

test('forgotten during the sign-in: the call is answered, by one window and no second command', async () => {
  emulator = await emulate({ ...keycloak(), forgetsOnce: true });
  serving = await serve(['--issuer', emulator.issuer]);
  const { client } = await connect();
  expect(await whoami(client)).toMatchObject({ email: 'carol@example.com' });
  expect({ registrations: registrations(), opened: timesOpened() }).toEqual({ registrations: 2, opened: 1 });
});

test('forgotten since the last sign-in: the next call registers anew and is answered', async () => {
  emulator = await emulate(keycloak());
  serving = await serve(['--issuer', emulator.issuer]);
  const first = await connect();
  expect(await whoami(first.client)).toMatchObject({ email: 'carol@example.com' });
  await first.client.close();
  emulator.forget();
  // The server forgets with it what it knew of the token.
  const { port } = serving;
  await serving.stop();
  serving = await serve(['--port', String(port), '--issuer', emulator.issuer]);
  const { client } = await connect();
  expect(await whoami(client)).toMatchObject({ email: 'carol@example.com' });
  expect({ registrations: registrations(), opened: timesOpened() }).toEqual({ registrations: 2, opened: 1 });
});
