import { type FaultClient, type FaultClientOptions, startFaultClient } from './fault-client.ts';
import { startModelProcess } from './fault-model-process.ts';
import type { ModelProcess, ModelProcessOptions } from './fault-model-script.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { type Model, type ModelOptions, startModel } from './model-server.ts';

/** What one test of a row starts; everything ends with it, and no client may have got a wrong answer. */
export interface World {
  client(url: string, options?: FaultClientOptions): FaultClient;
  model(options?: ModelOptions): Promise<Model>;
  modelProcess(options?: ModelProcessOptions): Promise<ModelProcess>;
  proxy(port: number): Promise<FaultProxy>;
}

export async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  const clients: FaultClient[] = [];
  const servers: { stop(): Promise<void> }[] = [];
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    servers.push(server);
    return server;
  };
  const late = patience();
  try {
    const story = body({
      client(url, options) {
        const client = startFaultClient(url, options);
        clients.push(client);
        return client;
      },
      model: async (options) => keep(await startModel(options)),
      modelProcess: async (options) => keep(await startModelProcess(options)),
      proxy: async (port) => keep(await startFaultProxy(port)),
    });
    await Promise.race([story, late.promise]);
    const wrong = clients.flatMap((client) => client.wrong);
    if (wrong.length > 0) throw new Error(`wrong on standard output:\n${wrong.join('\n')}`);
  } catch (error) {
    for (const { running } of clients)
      console.error(running.stderr().slice(-3000), running.stdout().slice(-1500));
    throw error;
  } finally {
    late.stop();
    await Promise.all(clients.map((client) => client.discard()));
    await Promise.all(servers.map((server) => server.stop().catch(() => {})));
  }
}

/** Before the runner loses its own: the logs of the clients are worth reading then. */
function patience() {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('not done within 57 s')), 57_000);
  });
  return { promise, stop: () => clearTimeout(timer) };
}
