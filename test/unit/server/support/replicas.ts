import { Secret } from '../../../../src/lib/secret.ts';
import { startRedis, type TestRedis } from '../../../support/redis.ts';
import { until } from '../../../support/until.ts';
import { openTestProvider, type TestProvider } from './provider.ts';
import { openStream, type RawAnswer, type RawStream } from './raw.ts';
import { openWorld, type World, type WorldOptions } from './world.ts';

/** Several servers of one address, with one provider and one Redis. */
export interface Replicas {
  readonly redis: TestRedis;
  readonly provider: TestProvider;
  readonly worlds: readonly World[];
  /** An access token for the address that they share. */
  token(sub?: string): Promise<string>;
  /** One more. */
  add(options?: WorldOptions): Promise<World>;
  open(at: World | undefined, token: string): Promise<RawStream>;
  post(
    at: World | undefined,
    stream: { endpoint: string },
    token: string,
    message: unknown,
  ): Promise<RawAnswer>;
  close(): Promise<void>;
}

const publicUrl = new URL('http://whoami.test');

export async function openReplicas(count: number, options: WorldOptions = {}): Promise<Replicas> {
  const [redis, provider] = await Promise.all([startRedis(), openTestProvider()]);
  const worlds: World[] = [];
  async function add(more: WorldOptions = {}): Promise<World> {
    const settings = { publicUrl, redis: new Secret(redis.url), ...options.settings, ...more.settings };
    const world = await openWorld({ ...options, ...more, provider, settings });
    worlds.push(world);
    await until('Redis', 5_000, async () => (await readyz(world)).redis === 'connected');
    return world;
  }
  for (let i = 0; i < count; i++) await add();
  return {
    redis,
    provider,
    worlds,
    token: (sub = 'alice') => provider.jwt({ sub, claims: { aud: `${publicUrl.origin}/sse` } }),
    add,
    open: (at, token) => openStream(at?.server.port ?? 0, { authorization: `Bearer ${token}` }),
    post: (at, stream, token, message) =>
      (at as World).send(
        'POST',
        stream.endpoint,
        { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        JSON.stringify(message),
      ),
    async close() {
      redis.thaw();
      for (const world of worlds) await world.close();
      await provider.close();
      await redis.stop();
    },
  };
}

export async function readyz(world: World): Promise<Record<string, unknown>> {
  return (await world.send('GET', '/readyz')).json();
}

export const messages = (stream: RawStream) =>
  [...stream.text().matchAll(/event: message\ndata: (.*)\n\n/g)].map(
    ([, data]) => JSON.parse(data ?? '') as Record<string, unknown>,
  );

/** Settles with the answer to `id` when it has come. */
export const answered = (stream: RawStream, id: unknown, timeoutMs = 10_000) =>
  until(`answer ${id}`, timeoutMs, () => messages(stream).find((message) => message.id === id));

/** Its last word; the connection may carry another request. */
export const hasEnded = (stream: RawStream) => stream.text().includes(': closing');
