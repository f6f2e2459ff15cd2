import { createHttpClient } from '../../lib/http.ts';
import { userAgent } from '../../lib/version.ts';
import { createCallerOf, readProxies } from '../caller.ts';
import { documentRoutes } from '../documents.ts';
import { createGate as createBearerGate } from '../gate.ts';
import { openVerification } from '../verify/verification.ts';
import { createAdmission } from './admission.ts';
import { createFetchGate } from './fetch.ts';
import { logTo } from './log.ts';
import { createNodeGate } from './node.ts';
import { assertKnown, issuersOf, protectedBy } from './options.ts';
import { createSessionOwners, noOwners } from './owners.ts';
import type { Gate, GateOptions } from './types.ts';

export { identityOf } from './identity.ts';
export type * from './types.ts';

/**
 * Protects an MCP server: the gate of `mcp-whoami serve`, as a library. It reads no environment and writes nowhere.
 *
 * In: which resource, and whose tokens. Out: the gate; the authorization servers are looked for meanwhile. Throws an
 * error with `code` (`usage`, `insecure_url`) and `hint` for options that cannot be meant.
 */
export function createGate(options: GateOptions): Gate {
  assertKnown(options);
  const issuers = issuersOf(options);
  const { address, paths } = protectedBy(options);
  const proxies = readProxies(options.trustProxy ?? [], 'trustProxy');
  const log = logTo(options.log);
  const now = () => Date.now();
  const http = createHttpClient({ userAgent, authorities: [options.ca ?? []].flat() });
  const verification = openVerification({
    issuers,
    resources: address.resources,
    claims: options.claims,
    staleMs: (options.stale ?? 300) * 1000,
    http,
    log,
    now,
  });
  const decide = createAdmission({
    address,
    paths,
    documents: documentRoutes({
      prefixes: [''],
      resources: paths,
      verification,
      name: options.name ?? 'MCP server',
    }),
    gate: createBearerGate({ verification, log, now }),
    owners: (options.bindSessions ?? true) ? createSessionOwners() : noOwners,
    log,
  });
  const passToken = options.passToken ?? false;

  return {
    ...createNodeGate({ decide, passToken, log, callerOf: createCallerOf(() => proxies) }),
    fetch: createFetchGate({ decide, passToken, log }),
    ready: verification.ready,
    isReady: verification.isReady,
    close() {
      verification.close();
      http.close();
    },
  };
}
