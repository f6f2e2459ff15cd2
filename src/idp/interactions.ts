import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { InteractionResults, Provider } from 'oidc-provider';
import { hasCode } from '../lib/errors.ts';
import { isObject } from '../lib/json.ts';
import { readForm } from './body.ts';
import { sendPage } from './front.ts';
import { rememberedConsent, type Wanted, wantedBy } from './grants.ts';
import { type Application, describeApplication } from './pages/application.ts';
import { consentPage } from './pages/consent.ts';
import { formTargetOf } from './pages/layout.ts';
import { signInPage } from './pages/sign-in.ts';
import type { Store } from './store.ts';
import { type DemoUser, demoUser } from './users.ts';
import { errorPage } from './views.ts';

type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;

/** One visit of a person to a page of ours: what was asked, by whom, for which user. */
interface Visit {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly interaction: Interaction;
  readonly application: Application;
  readonly token: string;
  readonly formTarget: string | undefined;
}

export interface InteractionParts {
  readonly provider: Provider;
  readonly store: Store;
  /** Key of the forms' tokens. */
  readonly formKey: string;
}

/**
 * The two questions of a sign-in: which account, and may this application know it. The library sends the browser
 * here for each, with a cookie that only this path gets, and takes it back with the answer.
 */
export function createInteractions({ provider, store, formKey }: InteractionParts) {
  const tokenFor = (uid: string) => createHmac('sha256', formKey).update(uid).digest('base64url');

  return async (req: IncomingMessage, res: ServerResponse, uid: string): Promise<void> => {
    const visit = await open(req, res, uid);
    if (!visit) return sendPage(res, 400, errorPage('invalid_request', 'this sign-in is over or unknown'));
    if (req.method === 'GET' || req.method === 'HEAD') return show(visit);
    if (req.method !== 'POST') return sendPage(res, 405, errorPage('invalid_request', 'method not allowed'));
    const form = await readForm(req);
    if (!form || !sameText(form.get('token') ?? '', visit.token)) {
      return sendPage(res, 403, errorPage('invalid_request', 'the form was not made by this page'));
    }
    return decide(visit, form);
  };

  async function open(req: IncomingMessage, res: ServerResponse, uid: string): Promise<Visit | undefined> {
    let interaction: Interaction;
    try {
      interaction = await provider.interactionDetails(req, res);
    } catch (error) {
      if (isObject(error) && hasCode({ code: error.error }, 'invalid_request')) return undefined;
      throw error;
    }
    const client = await provider.Client.find(String(interaction.params.client_id));
    if (interaction.uid !== uid || !client) return undefined;
    const redirect = interaction.deviceCode ? undefined : interaction.params.redirect_uri;
    const redirectUri = typeof redirect === 'string' ? redirect : undefined;
    return {
      req,
      res,
      interaction,
      application: describeApplication(
        { clientId: client.clientId, clientName: client.clientName },
        redirectUri,
      ),
      token: tokenFor(uid),
      formTarget: formTargetOf(redirectUri),
    };
  }

  async function show(visit: Visit): Promise<void> {
    const { interaction, res } = visit;
    const user = demoUser(interaction.session?.accountId);
    if (interaction.prompt.name !== 'consent' || !user) {
      return sendPage(res, 200, signInPage({ ...visit, current: user?.id }));
    }
    const wanted = wantedBy(interaction);
    const asksAlways = String(interaction.params.prompt ?? '')
      .split(' ')
      .includes('consent');
    const clientId = String(interaction.params.client_id);
    // A device code may come from a stranger (RFC 8628 5.4): its consent is never taken from memory.
    if (!asksAlways && !interaction.deviceCode && rememberedConsent(store, user.id, clientId, wanted)) {
      return allow(visit, user, wanted);
    }
    sendPage(
      res,
      200,
      consentPage({ ...visit, user, scopes: wanted.scopes, resources: [...wanted.resources.keys()] }),
    );
  }

  async function decide(visit: Visit, form: URLSearchParams): Promise<void> {
    const { interaction } = visit;
    const decision = form.get('decision');
    if (decision === 'deny') {
      return finish(visit, {
        error: 'access_denied',
        error_description: 'the user did not allow the access',
      });
    }
    if (interaction.prompt.name !== 'consent') {
      const user = demoUser(form.get('account'));
      return user ? signIn(visit, user) : show(visit);
    }
    if (decision === 'switch') return finish(visit, {});
    const user = demoUser(interaction.session?.accountId);
    return decision === 'allow' && user ? allow(visit, user, wantedBy(interaction)) : show(visit);
  }

  async function signIn(visit: Visit, user: DemoUser): Promise<void> {
    const { interaction } = visit;
    if (interaction.session && interaction.session.accountId !== user.id) await forgetSession(interaction);
    await finish(visit, { ...interaction.lastSubmission, login: { accountId: user.id }, select_account: {} });
  }

  /** Another account than before: the browser's session ends here, or the library would ask with a page of its own. */
  async function forgetSession(interaction: Interaction): Promise<void> {
    const session = interaction.session && (await provider.Session.findByUid(interaction.session.uid));
    await session?.destroy();
    interaction.session = undefined;
    await interaction.persist();
  }

  /** Each sign-in gets a grant of its own, so that revoking one leaves the others of the same client alone. */
  async function allow(visit: Visit, user: DemoUser, wanted: Wanted): Promise<void> {
    const clientId = String(visit.interaction.params.client_id);
    const grant = new provider.Grant({ accountId: user.id, clientId });
    if (wanted.scopes.size > 0) grant.addOIDCScope([...wanted.scopes].join(' '));
    for (const [resource, scopes] of wanted.resources) grant.addResourceScope(resource, scopes.join(' '));
    await finish(visit, { ...visit.interaction.lastSubmission, consent: { grantId: await grant.save() } });
  }

  function finish({ req, res }: Visit, result: InteractionResults): Promise<void> {
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }
}

function sameText(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}
