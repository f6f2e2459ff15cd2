import { escapeHtml } from '../../lib/text.ts';
import { demoUsers } from '../users.ts';
import { icons, type Page } from './layout.ts';

export interface Message {
  readonly heading: string;
  readonly text: string;
  /** For whoever has to find the cause: an error code and its description. */
  readonly detail?: string | undefined;
  readonly mood: 'good' | 'bad';
}

/** A page that says one thing and asks nothing. */
export function messagePage(message: Message): Page {
  return {
    title: message.heading,
    body: `<div class="badge ${message.mood}">${message.mood === 'good' ? icons.check : icons.cross}</div>
<h1 class="center">${escapeHtml(message.heading)}</h1>
<p class="lead center">${escapeHtml(message.text)}</p>
${message.detail ? `<p class="detail">${escapeHtml(message.detail)}</p>` : ''}`,
  };
}

/** What somebody sees who opens the server's address in a browser. */
export function homePage(issuer: string): Page {
  const people = demoUsers.map((user) => user.claims.name).join(' and ');
  return {
    title: 'Demo authorization server',
    body: `<h1>Demo authorization server</h1>
<p class="lead">It lets ${escapeHtml(people)} sign in to the whoami server, so that you can see the whole journey without an account anywhere.</p>
<dl>
<div><dt>Issuer</dt><dd>${escapeHtml(issuer)}</dd></div>
</dl>
<p class="lead">There is nothing to do here: a sign-in starts in the application that wants one.</p>`,
  };
}
