import { escapeHtml } from '../../lib/text.ts';
import { type DemoUser, demoUsers } from '../users.ts';
import type { Application } from './application.ts';
import { icons, type Page } from './layout.ts';

export interface SignInView {
  readonly application: Application;
  /** The form's token against cross-site request forgery. */
  readonly token: string;
  /** Who is signed in already. */
  readonly current: string | undefined;
  readonly formTarget: string | undefined;
}

/** The account choice: posts `account`, or `decision=deny` from the button that cancels. */
export function signInPage(view: SignInView): Page {
  return {
    title: 'Choose an account',
    formTarget: view.formTarget,
    body: `<h1>Choose an account</h1>
<p class="lead">to continue to <strong>${escapeHtml(view.application.name)}</strong></p>
<form method="post">
<input type="hidden" name="token" value="${escapeHtml(view.token)}">
<div class="stack">
${demoUsers.map((user) => accountButton(user, user.id === view.current)).join('\n')}
</div>
<div class="note">${icons.info}<span>This is a demo: nobody is asked for a password, and both people are made up.</span></div>
<div class="center"><button class="link" name="decision" value="deny">Cancel</button></div>
</form>`,
  };
}

function accountButton(user: DemoUser, current: boolean): string {
  return `<button class="account" name="account" value="${user.id}">${avatar(user)}
<span class="who"><b>${escapeHtml(user.claims.name)}</b><span>${escapeHtml(user.claims.email)}</span></span>
${current ? '<span class="now">Signed in</span>' : ''}${icons.next}</button>`;
}

export function avatar(user: DemoUser): string {
  return `<span class="avatar avatar-${user.id}" aria-hidden="true">${user.initial}</span>`;
}
