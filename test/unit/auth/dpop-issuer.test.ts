import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signInAsClient } from '../../../src/auth/client-sign-in.ts';
import { loginWithDevice } from '../../../src/auth/device.ts';
import { createProver } from '../../../src/auth/dpop/prover.ts';
import { createSession } from '../../../src/auth/session.ts';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { BoundToken } from '../../../src/lib/access.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { replyJson, type Seen } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

describe('tokens of another type than was asked for', () => {
  let world: World;
  const dpop = { dpop_bound_access_tokens_required: true };
  const begin = async (resource: Record<string, unknown>, type: string) => {
    world = await createWorld(
      {
        metadata: (honest) => ({ ...honest, dpop_signing_alg_values_supported: ['ES256'] }),
        grant: (answer) => ({ ...answer, token_type: type }),
      },
      { metadata: (honest) => ({ ...honest, ...resource }) },
    );
  };
  afterEach(() => world.close());
  const stored = () => openTokenStore(world.process(), world.settings).load();
  const asked = () => world.issuer.at('authorize')[0]?.query.get('dpop_jkt');

  it(threat('C23', 'Bearer where only a bound one will do: refused, nothing kept'), async () => {
    await begin(dpop, 'Bearer');
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('sign_in_failed');
    expect(error.message).toContain('DPoP');
    expect(asked()).toMatch(/^[\w-]{43}$/);
    expect(world.shared.entries.size).toBe(0);
  });

  it('bound where nothing of the kind was asked for: refused', async () => {
    await begin({}, 'DPoP');
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
    expect(asked()).toBeNull();
    expect(world.issuer.at('token')[0]?.headers.dpop).toBeUndefined();
  });

  it('Bearer where the server takes both: it is one, and stays one', async () => {
    await begin({ dpop_signing_alg_values_supported: ['ES256'] }, 'Bearer');
    await world.login(world.process());
    expect(asked()).toMatch(/^[\w-]{43}$/);
    const session = createSession(world.process(), world.settings);
    const token = await session.current();
    expect(token).not.toBeInstanceOf(BoundToken);
    await session.renew(token);
    expect(world.issuer.at('token').map(({ headers }) => headers.dpop !== undefined)).toEqual([true, false]);
  });

  it(
    threat('C23', 'Bearer in the place of a bound one at a refresh: refused, the old one kept'),
    async () => {
      await begin(dpop, 'DPoP');
      await world.login(world.process());
      const before = await stored();
      world.issuer.behaviour.grant = (answer) => ({ ...answer, token_type: 'Bearer' });
      const session = createSession(world.process(), world.settings);
      const token = await session.current();
      expect(token).toBeInstanceOf(BoundToken);
      expect((await refusal(session.renew(token))).code).toBe('sign_in_failed');
      expect((await stored())?.accessToken.equals(before?.accessToken)).toBe(true);
      expect(before?.boundTo).toBeDefined();
    },
  );
});

describe('an authorization server and its nonce', () => {
  let world: World;
  beforeEach(async () => {
    world = await createWorld(
      {
        metadata: (honest) => ({ ...honest, dpop_signing_alg_values_supported: ['ES256'] }),
        grant: (answer) => ({ ...answer, token_type: 'DPoP' }),
      },
      { metadata: (honest) => ({ ...honest, dpop_bound_access_tokens_required: true }) },
    );
  });
  afterEach(() => world.close());
  const nonceOf = ({ headers }: Seen): unknown => {
    const [, payload = ''] = String(headers.dpop).split('.');
    return JSON.parse(Buffer.from(payload, 'base64url').toString()).nonce;
  };

  it('asks for one: once more with it', async () => {
    world.issuer.behaviour.token = (_form, request) =>
      nonceOf(request) === 'n1'
        ? undefined
        : (response) => {
            response.setHeader('dpop-nonce', 'n1');
            replyJson(400, { error: 'use_dpop_nonce' })(response);
          };
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
    expect(world.issuer.at('token').map(nonceOf)).toEqual([undefined, 'n1']);
  });

  it(threat('C19', 'asks for another one each time: two tries, and an error'), async () => {
    let count = 0;
    world.issuer.behaviour.token = () => (response) => {
      count += 1;
      response.setHeader('dpop-nonce', `n${count}`);
      replyJson(400, { error: 'use_dpop_nonce' })(response);
    };
    const error = await refusal(world.login(world.process()));
    expect(error.message).toContain('another proof');
    expect(world.issuer.at('token')).toHaveLength(2);
  });

  it('gives one that is none: it is not used', async () => {
    world.issuer.behaviour.token = () => (response) => {
      response.setHeader('dpop-nonce', 'a"b');
      replyJson(400, { error: 'use_dpop_nonce' })(response);
    };
    await refusal(world.login(world.process()));
    for (const request of world.issuer.at('token')) expect(nonceOf(request)).toBeUndefined();
  });

  it('does not take the proof: told with what may be wrong', async () => {
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_dpop_proof' });
    expect((await refusal(world.login(world.process()))).hint).toContain('clock');
    world.issuer.behaviour.token = () => undefined;
    await world.login(world.process());
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_dpop_proof' });
    const session = createSession(world.process(), world.settings);
    const error = await refusal(session.renew(await session.current()));
    expect(error.code).toBe('remote_error');
    expect(error.hint).toContain('clock');
  });

  it('the userinfo endpoint gets the bound token with a proof, and its nonce', async () => {
    const seen: (string | undefined)[] = [];
    world.issuer.behaviour.grant = ({ id_token: _, ...rest }) => ({ ...rest, token_type: 'DPoP' });
    world.issuer.behaviour.userinfo = () => (response) => {
      const request = world.issuer.at('userinfo').at(-1) as Seen;
      seen.push(request.headers.authorization?.split(' ')[0]);
      if (nonceOf(request) === 'u1') return replyJson(200, { sub: 'alice', name: 'Alice' })(response);
      response.setHeader('dpop-nonce', 'u1').setHeader('www-authenticate', 'DPoP error="use_dpop_nonce"');
      replyJson(401, {})(response);
    };
    expect(await world.login(world.process(), {}, { scope: 'profile' })).toMatchObject({ name: 'Alice' });
    expect(seen).toEqual(['DPoP', 'DPoP']);
  });
});

describe('the other grants', () => {
  let world: World;
  beforeEach(async () => {
    world = await createWorld(
      {
        device: (honest) => honest,
        metadata: (honest) => ({
          ...honest,
          dpop_signing_alg_values_supported: ['ES256'],
          token_endpoint_auth_methods_supported: ['client_secret_post'],
        }),
        grant: (answer) => ({ ...answer, token_type: 'DPoP' }),
      },
      { metadata: (honest) => ({ ...honest, dpop_bound_access_tokens_required: true }) },
    );
  });
  afterEach(() => world.close());
  const held = async () => {
    const session = createSession(world.process(), world.settings);
    const token = await session.current();
    expect(token).toBeInstanceOf(BoundToken);
    return { session, token };
  };
  const proofs = () => world.issuer.at('token').map(({ headers }) => headers.dpop);

  it('the device flow asks for bound tokens, too', async () => {
    await loginWithDevice(world.process(), world.settings, { onCode: () => {} });
    await held();
    expect(proofs().every(Boolean)).toBe(true);
  });

  it('so does a client for itself, and again with the same key when it renews', async () => {
    const asClient = { clientId: 'given', clientSecret: new Secret('S3cret'), clientCredentials: true };
    world.settings = { ...world.settings, ...asClient };
    world.issuer.behaviour.token = (form) =>
      form.get('grant_type') === 'client_credentials'
        ? replyJson(200, { access_token: `at-${proofs().length}`, token_type: 'DPoP', expires_in: 3600 })
        : undefined;
    await signInAsClient(world.process(), world.settings);
    const { session, token } = await held();
    await session.renew(token);
    const keys = proofs().map((proof) => String(proof).split('.')[0]);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });
});

describe('a sign-in under way', () => {
  it('the code is redeemed with the key that it is bound to, by whoever takes over', async () => {
    const world = await createWorld(
      {
        metadata: (honest) => ({ ...honest, dpop_signing_alg_values_supported: ['ES256'] }),
        grant: (answer) => ({ ...answer, token_type: 'DPoP' }),
      },
      { metadata: (honest) => ({ ...honest, dpop_bound_access_tokens_required: true }) },
    );
    try {
      const first = world.process();
      first.browse = async () => {};
      const one = await createSignIn(first, world.settings).start();
      await one.openBrowser();
      one.leave?.();
      await refusal(one.completed);
      const two = await createSignIn(world.process(), world.settings).start();
      await visit(two.url ?? '');
      await two.completed;
      const asked = world.issuer.at('authorize')[0]?.query.get('dpop_jkt');
      const set = await openTokenStore(world.process(), world.settings).load();
      expect(await createProver(set?.boundTo as never, Date.now).thumbprint()).toBe(asked);
    } finally {
      await world.close();
    }
  });

  it(
    threat('C23', 'a set whose key cannot be read is no set: its token does not go out as a Bearer token'),
    async () => {
      const world = await createWorld();
      try {
        await world.login(world.process());
        const [key, value] = [...world.shared.entries][0] ?? [];
        const changed = { ...JSON.parse(value?.reveal() ?? ''), boundTo: { algorithm: 'ES999', jwk: '{}' } };
        world.shared.entries.set(key ?? '', new Secret(JSON.stringify(changed)));
        const error = await refusal(createSession(world.process(), world.settings).current());
        expect(error.code).toBe('vault_failed');
      } finally {
        await world.close();
      }
    },
  );
});
