import { escapeHtml } from '../../lib/text.ts';
import { icons, type Page } from './layout.ts';

export interface DeviceForm {
  readonly action: string;
  /** The form's token against cross-site request forgery, made and checked by the protocol library. */
  readonly token: string;
}

/** Where a person types the code that a device shows (RFC 8628 3.3): posts `user_code`. */
export function deviceCodePage(
  form: DeviceForm,
  code: string | undefined,
  problem: string | undefined,
): Page {
  return {
    title: 'Connect a device',
    body: `<div class="badge plain">${icons.device}</div>
<h1 class="center">Connect a device</h1>
<p class="lead center">${code && !problem ? 'Check that this is the code which your device or terminal shows.' : 'Enter the code which your device or terminal shows.'}</p>
${problem ? `<p class="problem" role="alert" id="problem">${escapeHtml(problem)}</p>` : ''}
<form method="post" action="${escapeHtml(form.action)}">
<input type="hidden" name="xsrf" value="${escapeHtml(form.token)}">
<label for="user_code">Code</label>
<input class="code-input" id="user_code" name="user_code" value="${escapeHtml(code ?? '')}" placeholder="XXXX-XXXX" required maxlength="20" autocomplete="off" autocapitalize="characters" spellcheck="false" autofocus${problem ? ' aria-describedby="problem" aria-invalid="true"' : ''}>
<div class="actions single"><button class="button primary">Continue</button></div>
</form>`,
  };
}

/** The warning against codes sent by strangers (RFC 8628 5.4): posts `confirm`, or `abort` besides. */
export function deviceConfirmPage(form: DeviceForm, applicationName: string, code: string): Page {
  return {
    title: 'Is this your device?',
    body: `<h1>Is this your device?</h1>
<p class="lead"><strong>${escapeHtml(applicationName)}</strong> wants to be signed in. Your device or terminal must show this code:</p>
<p class="code-shown">${escapeHtml(code)}</p>
<form method="post" action="${escapeHtml(form.action)}">
<input type="hidden" name="xsrf" value="${escapeHtml(form.token)}">
<input type="hidden" name="user_code" value="${escapeHtml(code)}">
<input type="hidden" name="confirm" value="yes">
<div class="note">${icons.warning}<span>If somebody sent you this code, or you did not start this yourself, choose “Not mine”.</span></div>
<div class="actions">
<button class="button" name="abort" value="yes">Not mine</button>
<button class="button primary">Continue</button>
</div>
</form>`,
  };
}
