import { expect, test } from 'vitest';
import type { Context } from '../../../src/cli/context.ts';
import { renderError } from '../../../src/cli/render-error.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';

function rendered(thrown: unknown): string[] {
  const said: string[] = [];
  const context = { signals: { exitCode: () => undefined }, say: (text: string) => said.push(text) };
  renderError(thrown, context as unknown as Context, { json: true, debug: true });
  return said;
}

test(threat('C17', 'the trace at debug level is fit for a terminal, whatever a cause quotes'), () => {
  const cause = new SyntaxError('Unexpected token in "\u001b]0;owned\u0007\u009b2J\u202e"');
  const said = rendered(new AppError('remote_error', 'it went wrong', { cause }));
  expect(said.join('\n')).toContain('Unexpected token');
  expect(said.join('\n')).toContain('render-error.test.ts');
  expect(said.join('\n')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
});

test('a line of the trace cannot pass for one of ours', () => {
  const said = rendered(new Error('x\nmcp-whoami: signed in as root'));
  expect(said.join('\n').split('\n').slice(2)).not.toContain('mcp-whoami: signed in as root');
});
