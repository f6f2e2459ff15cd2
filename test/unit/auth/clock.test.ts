import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportPKCS8, generateKeyPair } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { replyJson } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

const day = 24 * 3_600_000;
let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

describe("the clock of this machine differs from the issuer's", () => {
  it('a day ahead: the id token looks expired, and the clock is told', async () => {
    world.issuer.behaviour.clock = -day;
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('sign_in_failed');
    expect(error.hint).toBe(
      `check the clock of this machine: it is 24 h ahead of the one of 127.0.0.1:${world.issuer.port}`,
    );
  });

  it('a day behind: it fails nothing, and nothing is said', async () => {
    world.issuer.behaviour.clock = day;
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.lines.join()).not.toContain('clock');
  });

  it('some minutes: no clock is blamed for an id token that is old', async () => {
    world.issuer.behaviour.clock = -4 * 60_000;
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });

  it('nor for another fault of the answer', async () => {
    world.issuer.behaviour.clock = -day;
    world.issuer.behaviour.grant = (it) => ({ ...it, token_type: undefined });
    const error = await refusal(world.login(world.process()));
    expect(error.hint ?? '').not.toContain('clock');
  });

  it('what we sign is refused: the clock is told, and a sign-in is not taken for ended', async () => {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const clientKey = join(world.configDir, 'client.pem');
    await writeFile(clientKey, await exportPKCS8(privateKey));
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    });
    await world.login(world.process(), {}, { clientId: 'given', clientKey });
    world.issuer.behaviour.clock = -day;
    world.issuer.behaviour.token = () =>
      replyJson(401, { error: 'invalid_client', error_description: 'too early' });
    const session = createSession(world.process(), world.settings);
    const error = await refusal(session.renew(await session.current()));
    expect(error.message).toContain('does not accept what we signed: too early');
    expect(error.hint).toContain('24 h ahead');
    expect(await openTokenStore(world.process(), world.settings).load()).toMatchObject({ dead: false });

    world.issuer.behaviour.clock = 0;
    const ended = await refusal(session.renew(await session.current()));
    expect(ended.code).toBe('not_signed_in');
  });
});
