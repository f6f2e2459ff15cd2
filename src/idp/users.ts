/** One of the people whom the demo authorization server knows. They have no password. */
export interface DemoUser {
  /** The `sub` claim. */
  readonly id: 'alice' | 'bob';
  readonly initial: string;
  /** OpenID Connect Core 5.1 standard claims, `sub` apart. */
  readonly claims: Readonly<Record<ProfileClaim | 'email', string> & { email_verified: boolean }>;
}

type ProfileClaim = 'name' | 'given_name' | 'family_name' | 'preferred_username' | 'locale';

/** Which claims a granted scope releases (OpenID Connect Core 5.4). */
export const claimsOfScope = {
  openid: ['sub'],
  profile: ['name', 'given_name', 'family_name', 'preferred_username', 'locale'],
  email: ['email', 'email_verified'],
} as const;

export const demoUsers: readonly DemoUser[] = [
  {
    id: 'alice',
    initial: 'A',
    claims: {
      name: 'Alice Liddell',
      given_name: 'Alice',
      family_name: 'Liddell',
      preferred_username: 'alice',
      locale: 'en-GB',
      email: 'alice@example.com',
      email_verified: true,
    },
  },
  {
    id: 'bob',
    initial: 'B',
    claims: {
      name: 'Bob Cratchit',
      given_name: 'Bob',
      family_name: 'Cratchit',
      preferred_username: 'bob',
      locale: 'en-GB',
      email: 'bob@example.com',
      email_verified: true,
    },
  },
];

export function demoUser(id: unknown): DemoUser | undefined {
  return demoUsers.find((user) => user.id === id);
}

/** What `user` shows to somebody who was granted `scopes`; `sub` apart. */
export function claimsFor(user: DemoUser, scopes: ReadonlySet<string>): Record<string, unknown> {
  const released = [...scopes].flatMap((scope) =>
    scope === 'profile' || scope === 'email' ? claimsOfScope[scope] : [],
  );
  return Object.fromEntries(released.map((claim) => [claim, user.claims[claim]]));
}
