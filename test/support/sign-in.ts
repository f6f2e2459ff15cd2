import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { type Finished, start } from './command.ts';

/** `mcp-whoami login URL` with the pages walked over HTTP as one of the demo's users. */
export async function signIn(
  url: string,
  env: Record<string, string>,
  args: readonly string[] = [],
  user: 'alice' | 'bob' = 'alice',
  cwd?: string,
): Promise<Finished> {
  const login = start(['login', url, '--no-browser', ...args], { env, ...(cwd ? { cwd } : {}) });
  const [authorizationUrl] = await login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  await visitAsDemoUser(authorizationUrl, user);
  return login.finished;
}
