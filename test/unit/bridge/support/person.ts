import type { SignIn } from '../../../../src/lib/access.ts';
import { AppError } from '../../../../src/lib/errors.ts';
import type { createTokens } from './client.ts';

export const url = 'https://issuer.example/authorize?state=s';

/** A person who signs in when the test says so. */
export function createPerson(
  tokens: ReturnType<typeof createTokens>,
  how: { browser?: boolean; joined?: boolean; brings?: string; atOnce?: boolean } = {},
) {
  const person = {
    started: 0,
    /** What each sign-in was asked for on top. */
    scopes: [] as (string | undefined)[],
    opened: 0,
    cancelled: 0,
    left: 0,
    comesBack: () => {},
    givesUp: (_: AppError) => {},
    signIn: {
      async start(scope?: string) {
        person.started++;
        person.scopes.push(scope);
        const completed = new Promise<void>((resolve, reject) => {
          person.comesBack = () => {
            tokens.value = how.brings ?? 'fresh';
            resolve();
          };
          person.givesUp = reject;
        });
        return {
          url: how.joined ? undefined : url,
          completed,
          async openBrowser() {
            person.opened++;
            if (how.atOnce) person.comesBack();
            return how.browser ?? true;
          },
          leave() {
            person.left++;
          },
          cancel() {
            person.cancelled++;
            person.givesUp(new AppError('cancelled', 'cancelled'));
          },
        };
      },
    } as SignIn,
  };
  return person;
}
