import { display, escapeHtml } from '../../lib/text.ts';
import type { DemoUser } from '../users.ts';
import type { Application } from './application.ts';
import { icons, type Page } from './layout.ts';
import { avatar } from './sign-in.ts';

export interface ConsentView {
  readonly application: Application;
  readonly user: DemoUser;
  readonly scopes: ReadonlySet<string>;
  /** The protected resources that the access token is for (RFC 8707). */
  readonly resources: readonly string[];
  readonly token: string;
  readonly formTarget: string | undefined;
}

/** What the application asks for: posts `decision`, one of `allow`, `deny`, `switch`. */
export function consentPage(view: ConsentView): Page {
  const { application, user } = view;
  const name = escapeHtml(application.name);
  return {
    title: `Allow ${application.name}?`,
    formTarget: view.formTarget,
    body: `<h1>Allow ${name} to know who you are?</h1>
<form method="post">
<input type="hidden" name="token" value="${escapeHtml(view.token)}">
<div class="account chosen">${avatar(user)}
<span class="who"><b>${escapeHtml(user.claims.name)}</b><span>${escapeHtml(user.claims.email)}</span></span>
<button class="link" name="decision" value="switch" aria-label="Use another account">Switch</button></div>
<h2>It will be able to</h2>
<ul class="facts">
${permissions(view)
  .map(([what, detail]) => `<li>${icons.check}<span>${what}<span>${detail}</span></span></li>`)
  .join('\n')}
</ul>
${details(view)}
${warning(application)}
<div class="actions">
<button class="button" name="decision" value="deny">Deny</button>
<button class="button primary" name="decision" value="allow">Allow</button>
</div>
</form>`,
  };
}

function details({ application, resources }: ConsentView): string {
  const rows = [
    ['Published at', application.publisher],
    ['Answer goes to', application.returnsTo],
    ...resources.map((resource) => ['For use at', display(resource, 120)]),
  ].filter(([, value]) => value !== undefined);
  if (rows.length === 0) return '';
  return `<dl>
${rows.map(([what, value]) => `<div><dt>${what}</dt><dd>${escapeHtml(value)}</dd></div>`).join('\n')}
</dl>`;
}

function permissions({ user, scopes }: ConsentView): [string, string][] {
  const claims = user.claims;
  const list: [string, string][] = [];
  if (scopes.has('openid')) list.push(['Recognise your account', `User id ${escapeHtml(user.id)}`]);
  if (scopes.has('profile')) list.push(['See your name and profile', escapeHtml(claims.name)]);
  if (scopes.has('email')) list.push(['See your email address', escapeHtml(claims.email)]);
  if (scopes.has('offline_access'))
    list.push(['Keep you signed in', 'Until you sign out in the application']);
  if (list.length === 0) list.push(['Act for your account', 'Without seeing your profile']);
  return list;
}

function warning(application: Application): string {
  if (application.returnsToThisComputer) return '';
  return `<div class="note">${icons.warning}<span>The answer leaves this computer. Allow it only if you started this sign-in yourself.</span></div>`;
}
