import type { Provider } from 'oidc-provider';
import { isObject } from '../lib/json.ts';
import type { Store } from './store.ts';

/** What one authorization request wants from the user. */
export interface Wanted {
  readonly scopes: ReadonlySet<string>;
  /** Protected resource -> scopes for it (RFC 8707). */
  readonly resources: ReadonlyMap<string, readonly string[]>;
}

/** The scopes that the request asks for and the library found nobody has granted to it yet. */
export function wantedBy(interaction: Awaited<ReturnType<Provider['interactionDetails']>>): Wanted {
  const { missingOIDCScope, missingResourceScopes } = interaction.prompt.details;
  const resources = isObject(missingResourceScopes) ? Object.entries(missingResourceScopes) : [];
  return {
    scopes: new Set(strings(missingOIDCScope)),
    resources: new Map(resources.map(([resource, scopes]) => [resource, strings(scopes)])),
  };
}

/** True when the user has allowed the same client at least as much before, and it was not revoked since. */
export function rememberedConsent(
  store: Store,
  accountId: string,
  clientId: string,
  wanted: Wanted,
): boolean {
  const now = Math.floor(Date.now() / 1000);
  const covering = store.find('Grant', (grant) => {
    if (grant.accountId !== accountId || grant.clientId !== clientId) return false;
    if (typeof grant.exp === 'number' && grant.exp <= now) return false;
    const openid = isObject(grant.openid) ? words(grant.openid.scope) : new Set();
    const resources = isObject(grant.resources) ? grant.resources : {};
    return (
      [...wanted.scopes].every((scope) => openid.has(scope)) &&
      [...wanted.resources].every(([resource, scopes]) => {
        const granted = words(resources[resource]);
        return scopes.every((scope) => granted.has(scope));
      })
    );
  });
  return covering !== undefined;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function words(value: unknown): Set<string> {
  return new Set(typeof value === 'string' ? value.split(' ') : []);
}
