import type { interactionPolicy as Library } from 'oidc-provider';

/**
 * When a person is asked: at every authorization, for the account and for the consent. A native app can be
 * imitated by any other program on the machine (RFC 8252 8.6), so a remembered session alone is never enough;
 * whether the consent page is worth showing again is decided by `interactions.ts`, after the account was chosen.
 */
export function everyTime(library: typeof Library): Library.DefaultPolicy {
  const { Check, Prompt } = library;
  const policy = library.base();
  policy.add(new Prompt({ name: 'select_account', requestable: true }), 0);
  policy
    .get('login')
    ?.checks.add(
      new Check('account_choice', 'the account is chosen at every sign-in', 'login_required', (ctx) =>
        ctx.oidc.result?.login ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT,
      ),
    );
  policy
    .get('consent')
    ?.checks.add(
      new Check('consent_decision', 'each sign-in has its own consent', 'consent_required', (ctx) =>
        ctx.oidc.result?.consent ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT,
      ),
    );
  return policy;
}
