import type { ErrorOut, KoaContextWithOIDC } from 'oidc-provider';
import { display } from '../lib/text.ts';
import { describeApplication } from './pages/application.ts';
import { type DeviceForm, deviceCodePage, deviceConfirmPage } from './pages/device.ts';
import { type Page, renderPage } from './pages/layout.ts';
import { type Message, messagePage } from './pages/message.ts';

/** Answers with a page, from inside the protocol library. The status stays what it is. */
export function showPage(ctx: KoaContextWithOIDC, page: Page): void {
  const { headers, html } = renderPage(page);
  const { status } = ctx;
  ctx.set({ ...headers });
  ctx.body = html;
  ctx.status = status === 404 ? 200 : status;
}

/** The library's `renderError`: refusals that cannot go back to the client (RFC 6749 4.1.2.1). */
export function showError(ctx: KoaContextWithOIDC, out: ErrorOut): void {
  showPage(ctx, errorPage(out.error, out.error_description));
}

const explained: Readonly<Record<string, Pick<Message, 'heading' | 'text'>>> = {
  invalid_client: {
    heading: 'This application is not known here',
    text: 'It must register first. Close this window and start the sign-in in the application again.',
  },
  invalid_redirect_uri: {
    heading: 'The return address does not match',
    text: 'The application asked for the answer at an address which it has not registered, so nothing was sent there.',
  },
  invalid_request: {
    heading: 'The sign-in cannot go on',
    text: 'The request is incomplete or has expired. Close this window and start the sign-in in the application again.',
  },
  server_error: {
    heading: 'Something went wrong here',
    text: 'It is not your fault. The log of the authorization server tells the reason.',
  },
};

export function errorPage(error: string, description: string | undefined): Page {
  const { heading, text } = explained[error] ?? {
    heading: 'The sign-in was refused',
    text: 'Close this window and start the sign-in in the application again.',
  };
  const detail = display(description ? `${error}: ${description}` : error);
  return messagePage({ heading, text, detail, mood: 'bad' });
}

const codeProblems: Readonly<Record<string, string>> = {
  NoCodeError: 'Enter the code first.',
  NotFoundError: 'This code is not known. Check it and try again.',
  ExpiredError: 'This code has expired. Start again on your device.',
  AlreadyUsedError: 'This code was used already. Start again on your device.',
};

const denied: Message = {
  heading: 'Access denied',
  text: 'Your device was not connected. You can close this window.',
  mood: 'bad',
};

function deviceForm(ctx: KoaContextWithOIDC): DeviceForm {
  const state = ctx.oidc.session?.state as { secret?: string } | undefined;
  return { action: ctx.oidc.urlFor('code_verification'), token: state?.secret ?? '' };
}

/** The pages of the device flow (RFC 8628 3.3), as the library asks for them. */
export const deviceViews = {
  userCodeInputSource: (ctx: KoaContextWithOIDC, _form: string, out?: ErrorOut, error?: Error): void => {
    if (error?.name === 'AbortedError') {
      showPage(ctx, messagePage(denied));
      return;
    }
    const typed = (error as { userCode?: unknown } | undefined)?.userCode ?? ctx.state.userCode;
    const problem =
      error && (codeProblems[error.name] ?? display(out?.error_description ?? 'That did not work.'));
    showPage(ctx, deviceCodePage(deviceForm(ctx), typed ? display(typed, 20) : undefined, problem));
  },
  userCodeConfirmSource: (
    ctx: KoaContextWithOIDC,
    _form: string,
    client: { clientId: string; clientName?: string | undefined },
    _deviceInfo: unknown,
    userCode: string,
  ): void => {
    const { name } = describeApplication(
      { clientId: client.clientId, clientName: client.clientName },
      undefined,
    );
    showPage(ctx, deviceConfirmPage(deviceForm(ctx), name, userCode));
  },
  successSource: (ctx: KoaContextWithOIDC): void => {
    showPage(
      ctx,
      messagePage({
        heading: 'Your device is connected',
        text: 'Go back to your device or terminal: it goes on by itself. You can close this window.',
        mood: 'good',
      }),
    );
  },
};
