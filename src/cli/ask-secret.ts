import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { AppError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { display } from '../lib/text.ts';
import type { Context } from './context.ts';

/** Longer than any provider's; a paste that went wrong is not kept. Characters. */
const longestSecret = 4096;

/**
 * Asks on the terminal for the secret of a client; what is typed or pasted is not shown.
 *
 * Throws AppError `usage` (no terminal, nothing typed), `cancelled` (Ctrl-C, Ctrl-D).
 */
export async function askClientSecret(context: Context, clientId: string, issuer: string): Promise<Secret> {
  const { stdin } = context;
  if (!stdin.isTTY) {
    throw new AppError('usage', '--ask-client-secret: standard input is no terminal', {
      hint: 'put the secret into the variable MCP_WHOAMI_CLIENT_SECRET, or prove the client with --client-key FILE',
    });
  }
  context.say(`Secret of the client ${display(clientId, 80)} at ${display(issuer)}; it is not shown.`);
  const secret = (await hiddenLine(context)).trim();
  if (secret === '') throw new AppError('usage', '--ask-client-secret: nothing was typed');
  if (secret.length <= longestSecret) return new Secret(secret);
  throw new AppError('usage', `--ask-client-secret: that is longer than ${longestSecret} characters`);
}

function hiddenLine({ stdin, signals }: Context): Promise<string> {
  // The line editor writes its echo to nowhere.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: stdin, output, terminal: true, historySize: 0 });
  return new Promise<string>((resolve, reject) => {
    const cancel = () => reject(new AppError('cancelled', 'cancelled'));
    reader.once('line', resolve);
    reader.once('close', cancel);
    signals.aborted.addEventListener('abort', cancel, { once: true });
  }).finally(() => reader.close());
}
