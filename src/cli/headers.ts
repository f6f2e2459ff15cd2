import { AppError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { Context } from './context.ts';

export interface ExpandedHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** The token of an `Authorization: Bearer ${VAR}` header, and the variable's name. */
  readonly bearer: { readonly value: Secret; readonly from: string } | undefined;
}

/**
 * Puts the environment's values where `--header` names a variable, so that no secret is on a command line.
 *
 * Throws AppError `usage` for a variable that is not set, or whose value cannot be in a header.
 */
export function expandHeaders(
  given: readonly (readonly [name: string, value: string])[],
  environment: Context['environment'],
): ExpandedHeaders {
  const headers: Record<string, string> = {};
  let bearer: ExpandedHeaders['bearer'];
  for (const [name, template] of given) {
    let from = '';
    const value = template.replace(/\$\{(\w+)\}/g, (_, variable: string) => {
      from = variable;
      const found = environment[variable];
      if (!found) throw new AppError('usage', `--header ${name}: the variable ${variable} is not set`);
      return found;
    });
    if (!/^[\t\x20-\x7e]*$/.test(value)) {
      throw new AppError(
        'usage',
        `--header ${name}: the value of ${from} has characters that no header may have`,
      );
    }
    if (name !== 'authorization') {
      headers[name] = value;
      continue;
    }
    const token = /^bearer\s+([\w.~+/=-]+)$/i.exec(value)?.[1];
    if (!token)
      throw new AppError('usage', `--header authorization: write it as 'Authorization: Bearer \${${from}}'`);
    bearer = { value: new Secret(token), from };
  }
  return { headers: Object.freeze(headers), bearer };
}
