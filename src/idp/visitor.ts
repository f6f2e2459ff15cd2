import { AppError } from '../lib/errors.ts';
import { createHttpClient, type HttpClient } from '../lib/http.ts';
import { display } from '../lib/text.ts';
import { secureUrl } from '../lib/url.ts';
import { userAgent } from '../lib/version.ts';
import { createCookieJar } from './cookies.ts';
import { type HtmlForm, headingOf, parseForms } from './forms.ts';

type User = 'alice' | 'bob';

export interface Visit {
  /** Press Deny instead of Allow. */
  readonly deny?: boolean;
  /** Stop before the redirect URI, as a browser on another machine has to. */
  readonly elsewhere?: boolean;
}

type Button = readonly [name: string, value: string];

interface Page {
  readonly url: URL;
  readonly status: number;
  readonly html: string;
}

const maxSteps = 20;

/**
 * Does what a person does in the browser, over plain HTTP: opens `authorizationUrl`, chooses `user`, and then
 * allows the application, or does not (`visit.deny`). The forms are those of the pages that come.
 *
 * Out: the redirect URI with its answer, after it was asked for, so that the client has heard it. Carries an
 * authorization code: never to be shown. Throws AppError `sign_in_failed` when the pages lead elsewhere, and
 * what the HTTP client throws.
 */
export async function visitAsDemoUser(
  authorizationUrl: string,
  user: User,
  visit: Visit = {},
): Promise<string> {
  const start = secureUrl(authorizationUrl, 'the authorization URL');
  const redirectUri = start.searchParams.get('redirect_uri') ?? '';
  const browser = createBrowser(start.origin);
  try {
    let page = await browser.open(start);
    for (let step = 0; step < maxSteps; step++) {
      if (page instanceof URL) {
        if (!leadsTo(page, redirectUri))
          throw lost(start, 'it leads to an address which is not the redirect URI');
        if (!visit.elsewhere) await browser.deliver(page);
        return page.href;
      }
      page = await browser.press(page, [
        ['account', user],
        ['decision', visit.deny ? 'deny' : 'allow'],
      ]);
    }
    throw lost(start, 'it does not end');
  } finally {
    browser.close();
  }
}

/**
 * Enters a device's code as a person does (RFC 8628 3.3), then chooses `user` and allows it, or does not.
 *
 * In: `verification_uri_complete`. Out: the heading of the last page. Throws as `visitAsDemoUser` does.
 */
export async function visitDeviceAsDemoUser(
  verificationUrl: string,
  user: User,
  visit: Visit = {},
): Promise<string> {
  const start = secureUrl(verificationUrl, 'the verification URL');
  const browser = createBrowser(start.origin);
  try {
    let page = await browser.open(start);
    for (let step = 0; step < maxSteps; step++) {
      if (page instanceof URL) throw lost(start, 'it leads away');
      if (page.status === 200 && parseForms(page.html).length === 0) return headingOf(page.html);
      page = await browser.press(page, [
        ['account', user],
        ['decision', visit.deny ? 'deny' : 'allow'],
      ]);
    }
    throw lost(start, 'it does not end');
  } finally {
    browser.close();
  }
}

/** Pages of one origin, with cookies. A redirect to another origin is handed out as a URL and not followed. */
function createBrowser(origin: string) {
  const http: HttpClient = createHttpClient({ userAgent });
  const jar = createCookieJar();

  async function open(url: URL, form?: URLSearchParams): Promise<Page | URL> {
    let [target, body] = [url, form];
    for (let step = 0; step < maxSteps; step++) {
      const answer = await http.read(target, {
        method: body ? 'POST' : 'GET',
        headers: {
          accept: 'text/html',
          ...jar.headers(target.pathname),
          ...(body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
        },
        body: body?.toString(),
      });
      jar.take(answer.headers['set-cookie'] ?? []);
      const { location } = answer.headers;
      if (answer.status < 300 || answer.status > 399 || !location) {
        return { url: target, status: answer.status, html: answer.body };
      }
      [target, body] = [new URL(location, target), undefined];
      if (target.origin !== origin) return target;
    }
    throw lost(url, 'it redirects without an end');
  }

  /** Sends the page's form with the first of `wanted` that it has a button for, else with its plain button. */
  function press(page: Page, wanted: readonly Button[]): Promise<Page | URL> {
    const [form] = parseForms(page.html);
    if (!form) throw lost(page.url, headingOf(page.html) || `it answered with status ${page.status}`);
    const fields = new URLSearchParams(form.fields.map(([name, value]): [string, string] => [name, value]));
    const button = choose(form, wanted);
    if (button) fields.set(...button);
    return open(form.action ? new URL(form.action, page.url) : page.url, fields);
  }

  /** Asks for the redirect URI and for the pages behind it on the same origin, as a browser would. */
  async function deliver(url: URL): Promise<void> {
    let target: URL | undefined = url;
    for (let step = 0; target && step < maxSteps; step++) {
      const answer = await http.read(target, {
        headers: { accept: 'text/html' },
        totalTimeoutMs: 60_000,
        headersTimeoutMs: 60_000,
      });
      const next: string | undefined =
        answer.status > 299 && answer.status < 400 ? answer.headers.location : undefined;
      const following: URL | undefined = next ? new URL(next, target) : undefined;
      target = following?.origin === url.origin ? following : undefined;
    }
  }

  return { open, press, deliver, close: () => http.close() };
}

function choose(form: HtmlForm, wanted: readonly Button[]): [string, string] | undefined {
  const found = wanted.find(([name, value]) =>
    form.buttons.some((button) => button.name === name && button.value === value),
  );
  return found && [...found];
}

function leadsTo(url: URL, redirectUri: string): boolean {
  if (!URL.canParse(redirectUri)) return false;
  const expected = new URL(redirectUri);
  return url.origin === expected.origin && url.pathname === expected.pathname;
}

function lost(url: URL, why: string): AppError {
  return new AppError(
    'sign_in_failed',
    `the sign-in pages of ${url.origin} cannot be gone through: ${display(why)}`,
    {
      hint: 'sign in through a browser instead',
    },
  );
}
