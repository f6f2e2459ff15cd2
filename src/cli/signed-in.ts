import { duration } from '../lib/clock.ts';
import { display } from '../lib/text.ts';
import type { IndexEntry } from '../vault/index-file.ts';

/** One sign-in as `status`, `login` and `--json` show it (product contract, "What --json prints"). */
export interface SignInView {
  readonly url: string;
  readonly profile: string;
  readonly signedIn: boolean;
  readonly subject?: string;
  readonly name?: string;
  readonly issuer?: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: string;
  readonly store?: string;
  /** There where no person signed in: the client has tokens of its own. */
  readonly grant?: 'client_credentials';
}

/** A live refresh token counts as signed in, whatever became of the access token. */
export function isSignedIn(entry: IndexEntry, now: number): boolean {
  if (entry.dead) return false;
  return entry.renewable || entry.expiresAt === undefined || entry.expiresAt > now;
}

export function viewOf(entry: IndexEntry, now: number): SignInView {
  return {
    url: entry.server,
    profile: entry.profile,
    signedIn: isSignedIn(entry, now),
    ...(entry.subject === undefined ? {} : { subject: entry.subject }),
    ...(entry.name === undefined ? {} : { name: entry.name }),
    issuer: entry.issuer,
    scopes: entry.scopes,
    ...(entry.expiresAt === undefined ? {} : { expiresAt: new Date(entry.expiresAt).toISOString() }),
    store: entry.store,
    ...(entry.asClient ? { grant: 'client_credentials' } : {}),
  };
}

/** A server as a person is told of it: with the profile, where that is not the default one. */
export const titleOf = (server: string, profile: string) =>
  profile === 'default' ? server : `${server} [profile ${profile}]`;

/** The lines for a person. */
export function describe(entry: IndexEntry, now: number): string[] {
  const state = isSignedIn(entry, now) ? `signed in as ${who(entry)}` : 'signed out';
  return [
    titleOf(entry.server, entry.profile),
    `  ${state}`,
    `  issuer   ${display(entry.issuer)}`,
    `  scopes   ${display(entry.scopes.join(' ')) || 'none'}`,
    `  access   ${lifetime(entry, now)}`,
    `  kept in  ${place(entry)}`,
  ];
}

/** Several sign-ins in short: by server, the default one first, an account a line. */
export function overview(entries: readonly IndexEntry[], now: number, defaultServer?: string): string[] {
  const first = (server: string) => (server === defaultServer ? 0 : 1);
  const servers = [...new Set(entries.map(({ server }) => server))].sort(
    (a, b) => first(a) - first(b) || a.localeCompare(b),
  );
  const width = (texts: readonly string[]) => Math.max(...texts.map((text) => text.length));
  const [profiles, people] = [width(entries.map(({ profile }) => profile)), width(entries.map(who))];
  return servers.flatMap((server, i) => [
    ...(i > 0 ? [''] : []),
    `${server}${server === defaultServer ? '  (default server)' : ''}`,
    ...entries
      .filter((entry) => entry.server === server)
      .sort((a, b) => byProfile(a.profile, b.profile))
      .map((entry) => {
        const state = isSignedIn(entry, now) ? lifetime(entry, now) : 'signed out';
        return `  ${entry.profile.padEnd(profiles)}  ${who(entry).padEnd(people)}  ${state}`;
      }),
  ]);
}

const byProfile = (a: string, b: string) =>
  Number(b === 'default') - Number(a === 'default') || a.localeCompare(b);

function who(entry: IndexEntry): string {
  if (entry.asClient)
    return `the client ${display(entry.clientId, 120)} itself (client credentials, no person)`;
  const [name, subject] = [entry.name && display(entry.name), entry.subject && display(entry.subject)];
  if (name && name !== subject) return `${name} (${subject})`;
  return subject ?? 'an account that the provider does not name';
}

function lifetime(entry: IndexEntry, now: number): string {
  if (entry.dead) return 'the provider refused to renew it: sign in again';
  const renewal = entry.renewable ? 'renewed by itself' : 'not renewable';
  if (entry.expiresAt === undefined) return `end not told by the provider, ${renewal}`;
  const left = entry.expiresAt - now;
  if (left <= 0) return entry.renewable ? 'run out, renewed with the next call' : 'run out: sign in again';
  return `for ${duration(left)} more, ${renewal}`;
}

function place(entry: IndexEntry): string {
  if (entry.store === 'file') return 'an encrypted file in the configuration folder';
  if (entry.store === 'memory') return 'memory';
  const binding = entry.binding === 'napi' ? '@napi-rs/keyring' : entry.binding;
  return binding ? `the system's keychain (by ${binding})` : "the system's keychain";
}
