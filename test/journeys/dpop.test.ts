import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type DpopProvider, startDpopProvider } from '../support/dpop-provider.ts';
import { type DpopResource, startDpopResource } from '../support/dpop-resource.ts';
import { type FaultClient, nextNumber, startFaultClient, textOf } from '../support/fault-client.ts';
import { type Home, makeHome } from '../support/home.ts';
import { follow } from '../support/plain-browser.ts';
import { threat } from '../support/threats.ts';

let provider: DpopProvider;
let resource: DpopResource;
let home: Home;
const bridges: FaultClient[] = [];
beforeEach(async () => {
  home = makeHome();
  provider = await startDpopProvider();
});
afterEach(async () => {
  await Promise.all(bridges.splice(0).map((bridge) => bridge.discard()));
  await resource.stop();
  await provider.close();
  home.remove();
});

async function login(url: string) {
  const running = start(['login', url, '--no-browser', '--log-level', 'debug'], { env: home.env });
  const [pushed] = await running.printed(/^https?:\/\/\S+[?&]request_uri=\S+$/m);
  await follow(pushed);
  return { ...(await running.finished), pushed };
}

function bridge(url: string): FaultClient {
  const opened = startFaultClient(url, { env: { ...home.env, MCP_WHOAMI_TOKEN: '' } });
  bridges.push(opened);
  return opened;
}

/** Calls with a number each; all of them are answered, and each has run once. */
async function callAll(clients: readonly FaultClient[], each: number): Promise<void> {
  const numbers: number[] = [];
  for (let i = 0; i < each; i++) {
    const answers = await Promise.all(
      clients.map((client) => {
        const n = nextNumber();
        numbers.push(n);
        return client.call('count', { n });
      }),
    );
    for (const answer of answers) expect(answer.json.result?.isError, textOf(answer)).toBeFalsy();
  }
  for (const n of numbers) expect(resource.model.effects.get(n)).toBe(1);
}

describe.each(['/mcp', '/sse'] as const)('PAR and DPoP with the built command, %s', (path) => {
  beforeEach(async () => {
    resource = await startDpopResource(path, provider.issuer);
  });
  const url = () => (path === '/mcp' ? resource.model.mcp : resource.model.sse);
  const refusals = () => resource.judged.filter(({ why }) => why !== undefined).map(({ why }) => why);
  const prints = () => new Set(resource.judged.map(({ thumbprint }) => thumbprint).filter(Boolean));

  test('login, calls under changing nonces, a refresh by two bridges with one key, logout', async () => {
    resource.rotateEvery = 5;
    const signedIn = await login(url());
    expect(signedIn.stderr).not.toMatch(/mcp-whoami: (warn|error)/);
    expect(signedIn.code).toBe(0);
    expect(signedIn.stdout).toContain('signed in as Erin (erin)');
    expect([...new URL(signedIn.pushed).searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);

    const [one, two] = [bridge(url()), bridge(url())];
    await Promise.all([one.ready(), two.ready()]);
    await callAll([one], 20);
    // Nonces change all the time: that has cost no renewal.
    expect(refusals()).toContain('nonce');
    expect(new Set(refusals())).toEqual(new Set(['nonce']));
    expect(provider.grants).toEqual(['authorization_code']);
    expect(prints().size).toBe(1);

    const token = resource.judged.at(-1)?.token ?? '';
    resource.refused.add(token);
    await callAll([one, two], 5);
    expect(provider.grants).toEqual(['authorization_code', 'refresh_token']);
    expect(prints().size).toBe(1);
    expect(new Set(resource.judged.map((judged) => judged.token)).size).toBe(2);

    const who = await command(['status', url(), '--json'], { env: home.env });
    expect(JSON.parse(who.stdout).servers[0]).toMatchObject({ signedIn: true, subject: 'erin' });
    const loggedOut = await command(['logout', url()], { env: home.env });
    expect(loggedOut.code).toBe(0);
    expect(provider.revocations()).toBe(1);

    // Neither a token, nor a proof, nor a part of the key is anywhere but in the vault.
    const tokens = new Set(resource.judged.map((judged) => judged.token).filter(Boolean));
    const said = [signedIn, loggedOut, who].map(({ stdout, stderr }) => stdout + stderr);
    const all = [...said, one.running.stderr(), two.running.stderr()].join('\n');
    for (const secret of [...tokens, '"kty"', '"crv"', 'dpop+jwt']) {
      expect(all).not.toContain(secret);
      expect(home.filesWith(secret)).toEqual([]);
    }
    // RFC 7515: every JWT begins so.
    expect(all).not.toContain('eyJ');
  });

  test(threat('C23', 'whoever has the token alone has nothing'), async () => {
    expect((await login(url())).code).toBe(0);
    const client = bridge(url());
    await client.ready();
    const token = resource.judged.at(-1)?.token ?? '';
    const thief = makeHome();
    const env = { ...thief.env, MCP_WHOAMI_TOKEN: token };
    const stolen = await command(['whoami', url()], { env });
    thief.remove();
    expect(stolen.code).toBe(3);
    expect(stolen.stderr).toContain('refused the access token in MCP_WHOAMI_TOKEN');
    expect(stolen.stderr).not.toContain(token);
  });
});
