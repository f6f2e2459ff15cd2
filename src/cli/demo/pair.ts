import { join } from 'node:path';
import { AppError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { assertPortFree } from '../../lib/ports.ts';
import type { Context } from '../context.ts';
import { openDemoPair } from '../demo-pair.ts';
import { issuerRules } from '../settings/issuers.ts';
import { resolve } from '../settings/resolve.ts';
import { serverOptions, serverSettings } from '../settings/server.ts';

const host = '127.0.0.1';

/** Authorization server and protected server on loopback, on the usual ports or, where those are taken, on others. */
export async function openPair(context: Context, log: Log) {
  const [port, idpPort] = await freePorts();
  const values = resolve(serverOptions, { flags: new Map(), environment: {}, files: [] });
  const settings = { ...serverSettings(values, [], true), port };
  const rules = issuerRules(values);
  const stateDir = join(context.configDir, 'provider');
  const pair = await openDemoPair({ settings, rules, idpPort, stateDir, http: context.http, log });
  await pair.server.ready;
  return { ...pair, url: new URL(`http://localhost:${pair.server.port}/sse`), moved: port === 0 };
}

/** The ports of the documentation if both are free, else any. */
async function freePorts(): Promise<[port: number, idpPort: number]> {
  try {
    await assertPortFree(host, 3001, '--port');
    await assertPortFree(host, 3002, '--idp-port');
    return [3001, 3002];
  } catch (error) {
    if (error instanceof AppError && error.code === 'port_taken') return [0, 0];
    throw error;
  }
}
