import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DeviceCode, loginWithDevice } from '../../../src/auth/device.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import { threat } from '../../support/threats.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

const grant = 'urn:ietf:params:oauth:grant-type:device_code';

let world: World;
let edges: Process;
let codes: DeviceCode[];
beforeEach(async () => {
  world = await createWorld({ device: (honest) => honest });
  edges = world.process();
  codes = [];
});
afterEach(() => world.close());

const signIn = (settings: Partial<SignInSettings> = {}, signal?: AbortSignal) =>
  loginWithDevice(
    edges,
    { ...world.settings, ...settings },
    { onCode: (code) => void codes.push(code), signal },
  );
const polls = () => world.issuer.at('token').filter(({ form }) => form.has('device_code'));

/** Answers the polls with these errors, then honestly. */
function answerPolls(...errors: string[]): void {
  world.issuer.behaviour.token = (form) => {
    const error = form.has('device_code') ? errors.shift() : undefined;
    return error === undefined ? undefined : replyJson(400, { error });
  };
}

describe('the device flow', () => {
  it('goes from the URL to tokens in the vault, past "pending"', async () => {
    answerPolls('authorization_pending', 'authorization_pending');
    const signedIn = await signIn();
    expect(signedIn).toMatchObject({ subject: 'alice', name: 'Alice Example', clientId: 'client-1' });
    expect(codes).toMatchObject([
      {
        userCode: 'WXYZ-1234',
        verificationUri: `${world.issuer.issuer}/device`,
        verificationUriComplete: `${world.issuer.issuer}/device?c=WXYZ`,
        lifeMs: 600_000,
      },
    ]);
    expect(polls()).toHaveLength(3);
    const set = await openTokenStore(edges, world.settings).load();
    expect(set).toMatchObject({ resource: world.resource.url.href, dead: false });
    expect(set?.refreshToken).toBeInstanceOf(Secret);
    expect([...world.shared.index.values()]).toMatchObject([{ name: 'Alice Example', renewable: true }]);
    expect(world.shared.held.size).toBe(0);
  });

  it('asks with scope, resource, prompt and what was added by hand; the polls repeat the resource', async () => {
    await signIn({ authParams: { audience: 'https://api.example' }, switchAccount: true });
    const [asked] = world.issuer.at('device_authorization');
    expect(Object.fromEntries(asked!.form)).toEqual({
      client_id: 'client-1',
      scope: 'openid profile offline_access',
      resource: world.resource.url.href,
      prompt: 'select_account consent',
      audience: 'https://api.example',
    });
    expect(polls()[0]!.form.get('resource')).toBe(world.resource.url.href);
    expect(polls()[0]!.form.get('grant_type')).toBe(grant);
  });

  it('needs no PKCE from the provider: nothing comes back through a browser', async () => {
    world.issuer.behaviour.metadata = ({ code_challenge_methods_supported: _, ...rest }) => rest;
    expect(await signIn()).toMatchObject({ subject: 'alice' });
  });

  it('a provider without it: an error that names the other way', async () => {
    delete world.issuer.behaviour.device;
    const error = await refusal(signIn({ profile: 'work' }));
    expect(error.message).toContain('offers no device flow');
    expect(error.hint).toContain(`mcp-whoami login ${world.resource.url.href} --profile work --no-browser`);
  });

  it('a server that wants no sign-in', async () => {
    world.resource.behaviour.metadata = () => undefined;
    world.resource.behaviour.before = (_request, response, url) => {
      if (url.pathname !== '/mcp') return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}');
      return true;
    };
    expect(await signIn()).toBe('no_oauth_wanted');
  });
});

describe('its client', () => {
  it('is registered with the grant, apart from the one of the browser, and used again', async () => {
    await world.login(edges);
    await signIn();
    await signIn();
    await world.login(edges);
    const [browser, device, ...more] = world.issuer.at('register').map(({ body }) => JSON.parse(body));
    expect(browser.grant_types).toEqual(['authorization_code', 'refresh_token']);
    expect(device).toMatchObject({ grant_types: ['authorization_code', 'refresh_token', grant] });
    expect(more).toEqual([]);
    const kept = JSON.parse(await readFile(join(world.configDir, 'registrations.json'), 'utf8'));
    const ids = Object.values(kept).map((one) => (one as { client: { id: string } }).client.id);
    expect(ids).toEqual(['client-1', 'client-2']);
  });

  it('is registered under the name that glewlwyd has for the grant, where the standard one is refused', async () => {
    world.issuer.behaviour.register = ({ grant_types }) =>
      (grant_types as string[]).includes(grant)
        ? replyJson(400, { error: 'invalid_client_metadata' })
        : undefined;
    await signIn();
    const asked = world.issuer.at('register').map(({ body }) => JSON.parse(body).grant_types.at(-1));
    expect(asked).toEqual([grant, 'device_authorization']);
  });

  it('is the one given in advance, with its secret', async () => {
    world.issuer.behaviour.metadata = ({ registration_endpoint: _, ...rest }) => rest;
    await signIn({ clientId: 'given', clientSecret: new Secret('s3cret') });
    const basic = `Basic ${Buffer.from('given:s3cret').toString('base64')}`;
    const asked = [...world.issuer.at('device_authorization'), ...polls()];
    expect(asked.map(({ headers }) => headers.authorization)).toEqual([basic, basic]);
  });

  it('forgotten by the provider: registered anew in one go, and only once', async () => {
    await signIn();
    world.issuer.forgetClients();
    world.issuer.know('client-9');
    expect(await signIn()).toMatchObject({ clientId: 'client-1' });
    world.issuer.behaviour.device = () => replyJson(401, { error: 'invalid_client' });
    const error = await refusal(signIn());
    expect(error.code).toBe('registration_failed');
    expect(world.issuer.at('device_authorization')).toHaveLength(4);
  });
});

describe('polling', () => {
  it('slow_down: at least five seconds more from then on', async () => {
    const at: number[] = [];
    const errors = ['slow_down', 'authorization_pending'];
    world.issuer.behaviour.token = (form) => {
      if (!form.has('device_code')) return undefined;
      at.push(performance.now());
      const error = errors.shift();
      return error === undefined ? undefined : replyJson(400, { error });
    };
    await signIn();
    expect(at).toHaveLength(3);
    for (const i of [1, 2]) expect(at[i]! - at[i - 1]!).toBeGreaterThan(4_990);
  }, 30_000);

  it('a connection that breaks ends nothing: asked less often from then on', async () => {
    let asked = 0;
    world.issuer.behaviour.token = (form) => {
      if (!form.has('device_code') || ++asked > 1) return undefined;
      return (response) => void response.destroy();
    };
    expect(await signIn()).toMatchObject({ subject: 'alice' });
    expect(asked).toBe(2);
    expect(edges.lines.join('')).toContain('we go on asking');
  }, 30_000);

  it('"pending" with status 200, as GitHub says it, is no token', async () => {
    const errors = ['authorization_pending'];
    world.issuer.behaviour.token = (form) => {
      const error = form.has('device_code') ? errors.shift() : undefined;
      return error === undefined ? undefined : replyJson(200, { error });
    };
    expect(await signIn()).toMatchObject({ subject: 'alice' });
    expect(polls()).toHaveLength(2);
  });

  it.each([
    ['access_denied', 'sign_in_denied'],
    ['expired_token', 'sign_in_timeout'],
    ['unauthorized_client', 'sign_in_failed'],
    ['invalid_target', 'invalid_target'],
    ['invalid_grant', 'sign_in_failed'],
  ])('%s ends it: %s, nothing kept', async (error, code) => {
    answerPolls('authorization_pending', error);
    expect((await refusal(signIn())).code).toBe(code);
    expect(polls()).toHaveLength(2);
    expect(world.shared.index.size + world.shared.held.size).toBe(0);
  });

  it('a code whose time is over: the line to type, no poll after it', async () => {
    world.issuer.behaviour.device = (honest) => ({ ...honest, expires_in: 0.3 });
    answerPolls(...Array<string>(100).fill('authorization_pending'));
    const error = await refusal(signIn({ profile: 'work' }));
    expect(error.code).toBe('sign_in_timeout');
    expect(error.hint).toBe(`run mcp-whoami login ${world.resource.url.href} --profile work --device`);
  });

  it(threat('C19', 'an interval of next to nothing is not kept to for long'), async () => {
    answerPolls(...Array<string>(10_000).fill('authorization_pending'));
    world.issuer.behaviour.device = (honest) => ({ ...honest, interval: 0.001, expires_in: 3 });
    expect((await refusal(signIn())).code).toBe('sign_in_timeout');
    expect(polls().length).toBeLessThan(25);
  });

  it('Ctrl-C: cancelled, nothing kept', async () => {
    answerPolls(...Array<string>(1000).fill('authorization_pending'));
    const stop = new AbortController();
    const running = signIn({}, stop.signal);
    await until(() => polls().length > 1);
    stop.abort();
    expect((await refusal(running)).code).toBe('cancelled');
    expect(world.shared.index.size + world.shared.held.size).toBe(0);
  });
});

describe('what the server says of the code', () => {
  const answers = (change: Record<string, unknown>) => {
    world.issuer.behaviour.device = (honest) => ({ ...honest, ...change });
  };

  it.each([
    'javascript:alert(1)',
    'http://elsewhere.example/device',
    'https://bank.example@evil.example/',
    'https://a.example/\u001b[2J',
  ])('an address that may not be shown is not: %j', async (verification_uri) => {
    answers({ verification_uri });
    expect((await refusal(signIn())).code).toBe('insecure_url');
    expect(codes).toEqual([]);
  });

  it.each([
    'javascript:alert(1)',
    'https://elsewhere.example/device?c=1',
    `http://127.0.0.1:1/${'x'.repeat(3000)}`,
  ])('a complete address that leads elsewhere is left out: %s', async (verification_uri_complete) => {
    answers({ verification_uri_complete });
    await signIn();
    expect(codes).toMatchObject([{ verificationUriComplete: undefined }]);
  });

  it('a code is shown without control characters, and not at all when nothing is left', async () => {
    answers({ user_code: '\u001b[2JAB\u202eCD' });
    await signIn();
    expect(codes[0]?.userCode).toMatch(/^[\u0020-\u007e]+$/);
    answers({ user_code: '\u001b\u202e' });
    expect((await refusal(signIn())).code).toBe('sign_in_failed');
  });

  it('an end that is not told, an interval that is none, and Google’s name for the address are no fault', async () => {
    world.issuer.behaviour.device = ({ verification_uri, expires_in: _, ...honest }) => ({
      ...honest,
      verification_url: verification_uri,
      verification_uri_complete: undefined,
      interval: '0.02',
    });
    await signIn();
    expect(codes).toMatchObject([{ verificationUri: `${world.issuer.issuer}/device`, lifeMs: 300_000 }]);
  });

  it.each([
    ['no JSON', reply(200, '<html>'), 'issuer_unreachable'],
    ['status 500', reply(500), 'issuer_unreachable'],
    ['a client that may not', replyJson(400, { error: 'unauthorized_client' }), 'sign_in_failed'],
    ['an unknown scope', replyJson(400, { error: 'invalid_scope' }), 'sign_in_failed'],
  ])('%s instead of a code', async (_, answer, code) => {
    world.issuer.behaviour.device = () => answer;
    expect((await refusal(signIn())).code).toBe(code);
  });
});

it('a bridge that needs a sign-in meanwhile opens no window, and is signed in with it', async () => {
  const { createSignIn } = await import('../../../src/auth/sign-in.ts');
  let allowed = false;
  world.issuer.behaviour.token = (form) =>
    form.has('device_code') && !allowed ? replyJson(400, { error: 'authorization_pending' }) : undefined;
  const running = signIn();
  await until(() => codes.length > 0);
  const bridge = world.process();
  const attempt = await createSignIn(bridge, world.settings).start();
  expect(attempt.url).toBeUndefined();
  expect(await attempt.openBrowser()).toBe(true);
  allowed = true;
  await running;
  await attempt.completed;
  expect(bridge.opened).toEqual([]);
});
