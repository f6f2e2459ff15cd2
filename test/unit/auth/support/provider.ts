import { afterEach, beforeEach, expect } from 'vitest';
import { createSession } from '../../../../src/auth/session.ts';
import { openTokenStore } from '../../../../src/auth/tokens/token-store.ts';
import type { AppError } from '../../../../src/lib/errors.ts';
import type { SignInSettings } from '../../../../src/lib/settings.ts';
import { type Emulator, emulate } from '../../../support/providers/emulator.ts';
import type { Quirks } from '../../../support/providers/quirks.ts';
import { visit } from './http.ts';
import { createWorld, refusal, type World } from './world.ts';

/** The real sign-in against one authorization server with the habits of a product, anew for each test. */
export function useProvider() {
  let world: World;
  let emulator: Emulator | undefined;
  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await emulator?.close();
    emulator = undefined;
    await world.close();
  });

  const login = (settings: Partial<SignInSettings> = {}) => world.login(world.process(), {}, settings);
  const stored = () => openTokenStore(world.process(), world.settings).load();

  return {
    world: () => world,
    /** In: `scopes`, which the protected resource asks for. */
    async begin(quirks: Quirks, scopes: readonly string[] = ['openid', 'profile']): Promise<Emulator> {
      const begun = await emulate(quirks);
      emulator = begun;
      const metadata = `${world.resource.origin}/.well-known/oauth-protected-resource/mcp`;
      world.resource.behaviour.challenge = `resource_metadata="${metadata}"`;
      world.resource.behaviour.metadata = (it) => ({
        ...it,
        authorization_servers: [begun.issuer],
        scopes_supported: scopes,
      });
      return begun;
    },
    login,
    failure: (settings: Partial<SignInSettings> = {}): Promise<AppError> => refusal(login(settings)),
    stored,
    /** The claims of the access token; none when it is opaque. */
    async claims(): Promise<Record<string, unknown>> {
      const [, payload = ''] = (await stored())?.accessToken.reveal().split('.') ?? [];
      const text = Buffer.from(payload, 'base64url').toString();
      return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    },
    async renew(): Promise<void> {
      const session = createSession(world.process(), world.settings);
      const before = await session.current();
      const after = await session.renew(before);
      expect(before?.equals(after)).toBe(false);
    },
    /** The page that the browser ended on, and what is said when nobody comes back from it. */
    async endOnPage(settings: Partial<SignInSettings>): Promise<{ error: AppError; page: string }> {
      const edges = world.process();
      let page = '';
      edges.browse = async (url) => {
        page = (await visit(url)).body;
      };
      const error = await refusal(world.login(edges, { timeoutMs: 1_000 }, settings));
      return { error, page };
    },
  };
}
