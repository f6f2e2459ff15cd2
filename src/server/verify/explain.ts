import { AppError } from '../../lib/errors.ts';
import type { IssuerRules } from '../../lib/settings.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import { asksForMore } from './rules.ts';

/** Why tokens are verified as they are, in the words of the start-up line. */
export function reasonFor(rules: IssuerRules, { jwksUri, userinfoUrl }: ProviderMetadata): string {
  if (rules.verify !== 'auto') return `--verify ${rules.verify}`;
  const keys = jwksUri ? 'it publishes keys' : 'it publishes no keys';
  const opaque = rules.introspection
    ? 'introspection credentials are set'
    : asksForMore(rules)
      ? 'userinfo cannot check what --audience, --required-scope or --allow ask for'
      : userinfoUrl
        ? 'no introspection credentials are set'
        : 'it has no userinfo endpoint';
  return `auto: ${keys}; ${opaque}`;
}

/** Who set up introspection wants the audience checked: userinfo in its place would be less than that. */
export function noIntrospection({ issuer }: ProviderMetadata): AppError {
  return new AppError(
    'metadata_invalid',
    `${issuer} has no introspection_endpoint, and credentials for one`,
    {
      hint: '--verify jwt or --verify userinfo, or name a document that has one with --metadata URL|FILE',
    },
  );
}

export function noWay(rules: IssuerRules, { issuer, jwksUri, userinfoUrl }: ProviderMetadata): AppError {
  if (rules.verify === 'introspection') {
    return new AppError('usage', `introspection at ${issuer} needs the id and the secret of a client`);
  }
  const lacks = [!jwksUri && 'jwks_uri', !userinfoUrl && 'userinfo_endpoint']
    .filter(Boolean)
    .join(' and no ');
  if (lacks === '' || (rules.verify === 'auto' && userinfoUrl)) {
    return new AppError(
      'metadata_invalid',
      `${issuer} publishes no keys (jwks_uri), and its userinfo endpoint checks no audience, client or scope`,
      {
        hint: 'leave --audience, --required-scope and --allow client_id out, or set introspection credentials',
      },
    );
  }
  return new AppError('metadata_invalid', `${issuer} gives no way to verify tokens: it has no ${lacks}`, {
    hint: '--userinfo-url URL names an endpoint that tells who a token belongs to',
  });
}
