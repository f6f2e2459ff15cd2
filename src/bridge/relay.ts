import type { AppError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Carrier } from './carrier.ts';
import { type ListMethod, listMethods } from './catalogue.ts';
import type { ClientAsks } from './client-asks.ts';
import { errorLine, rpcCodes, rpcErrorLine } from './errors.ts';
import type { Greeter, Request } from './greeter.ts';
import { signInTool } from './greeting.ts';
import type { Link } from './link.ts';
import type { Lists } from './lists.ts';
import { cancelledId, type Message, oneLine, paramsOf, readMessages, resultLine, withId } from './message.ts';
import { type Fragment, fragmentBytes, idOfFragment, isAnswerFragment } from './oversize.ts';
import { noAnswer } from './remote/failure.ts';
import type { Renewals } from './renewals.ts';
import type { Requests } from './requests.ts';

export interface RelayOptions {
  readonly server: URL;
  readonly requests: Requests;
  readonly carrier: Carrier;
  readonly asks: ClientAsks;
  readonly greeter: Greeter;
  readonly link: Link;
  readonly lists: Lists;
  readonly renewals: Renewals;
  readonly log: Log;
  /** Writes a line to the client. */
  tell(line: string): void;
  /** The failure of a message over the limit, in the words of whoever sent it. */
  tooLarge(sender: 'client' | 'remote'): AppError;
}

/** Where each message goes: one look at it, one place for each kind. */
export interface Relay {
  fromClient(text: string): void;
  /** `session` names the connection that it came on. */
  fromRemote(text: string, session: object): void;
  clientTooLarge(fragment: Fragment): void;
  /** `carrying`: the request whose own stream it came on (source text of its id). */
  remoteTooLarge(fragment: Fragment, carrying: string | undefined): void;
  /** What the server asked on this connection is not waited for any more. */
  forget(session: object): void;
}

const isList = (method: string): method is ListMethod => (listMethods as readonly string[]).includes(method);

export function createRelay(options: RelayOptions): Relay {
  const { server, requests, carrier, asks, greeter, link, lists, renewals, log, tell, tooLarge } = options;
  /** The server's requests that the client has not answered, each with its connection. */
  const asked = new Map<string, object>();

  function fromClient(text: string): void {
    for (const message of readMessages(text)) {
      if (message.kind === 'request') request(message);
      else if (message.kind === 'notification') notification(message);
      else if (message.kind === 'response') {
        if (asked.delete(message.id)) void carrier.pass(message.text);
        else if (!asks.answered(message.id, message.json))
          log.debug('an answer to nothing asked', { id: message.id });
      } else tell(rpcErrorLine('null', message.code, message.why));
    }
  }

  function request(message: Request): void {
    if (!accept(message)) {
      tell(rpcErrorLine(message.id, rpcCodes.invalidRequest, 'a request with this id is in flight already'));
    }
  }

  /** False when a request with this id is in flight already. */
  function accept(message: Request): boolean {
    const { id, method, json } = message;
    if (method === 'tools/call') {
      const isOurs = paramsOf(json).name === signInTool && lists.ownsSignIn();
      return isOurs ? greeter.signIn(message) : forward(message);
    }
    if (method === 'initialize') return greeter.initialize(message);
    if (isList(method) && paramsOf(json).cursor === undefined) return greeter.list(message, method);
    if (method === 'ping') tell(resultLine(id, '{}'));
    // The probe of revision 2026-07-28: an error sends the client back to `initialize`.
    else if (method === 'server/discover')
      tell(rpcErrorLine(id, rpcCodes.methodNotFound, 'Method not found'));
    else return forward(message);
    return true;
  }

  function forward({ id, method, json, text }: Request): boolean {
    renewals.note(method, json);
    return carrier.carry({ id, method, json, text, answerTo: tell }) !== undefined;
  }

  function notification({ method, json, text }: Extract<Message, { kind: 'notification' }>): void {
    if (method === 'notifications/initialized') link.initialized(text);
    else if (method === 'notifications/cancelled') carrier.cancel(cancelledId(json, text), text);
    else void carrier.pass(text);
  }

  function fromRemote(text: string, session: object): void {
    for (const message of readMessages(text)) {
      if (message.kind === 'response') {
        if (!settle(message)) log.debug('an answer to nothing in flight', { id: message.id });
      } else if (message.kind === 'request') {
        asked.set(message.id, session);
        tell(oneLine(message.text));
      } else if (message.kind === 'notification') {
        const { method, json } = message;
        if (method === 'notifications/progress') requests.touch(paramsOf(json).progressToken);
        else if (method.endsWith('/list_changed')) void lists.refresh(method);
        tell(oneLine(message.text));
      } else unreadable(text, message.why);
    }
  }

  /** Ends the request that this should have answered, when its ends tell which one that is. */
  function unreadable(text: string, why: string): void {
    log.warn('the server sent something that is no message', { why, characters: text.length });
    const id = idOfFragment({ head: text.slice(0, fragmentBytes), tail: text.slice(-fragmentBytes) });
    const entry = id === undefined ? undefined : requests.find(id);
    if (entry?.session) carrier.fail(entry, noAnswer(server).error);
  }

  function settle({ id, json, text }: Extract<Message, { kind: 'response' }>): boolean {
    const line = oneLine(text);
    if (requests.settle(id, json, line)) return true;
    // A server that reads numbers as doubles gives a huge one back rounded.
    if (typeof json.id !== 'number' || Number.isSafeInteger(json.id)) return false;
    const meant = requests.all().find((entry) => entry.json.id === json.id);
    return meant !== undefined && requests.settle(meant.id, json, withId(line, meant.id));
  }

  function clientTooLarge(fragment: Fragment): void {
    const id = idOfFragment(fragment);
    const line = errorLine(id ?? 'null', tooLarge('client'));
    if (!isAnswerFragment(fragment)) tell(line);
    else if (id !== undefined && asked.delete(id)) void carrier.pass(line);
  }

  function remoteTooLarge(fragment: Fragment, carrying: string | undefined): void {
    const id = idOfFragment(fragment) ?? carrying;
    const error = tooLarge('remote');
    if (id !== undefined && !isAnswerFragment(fragment)) {
      return void carrier.pass(errorLine(id, error));
    }
    const sent = requests.all().filter((entry) => entry.session !== undefined);
    const entry = id === undefined ? undefined : requests.find(id);
    const meant = entry ?? (sent.length === 1 ? sent[0] : undefined);
    if (meant) carrier.fail(meant, error);
    else log.warn('the server sent a message over the limit', { reason: error });
  }

  return {
    fromClient,
    fromRemote,
    clientTooLarge,
    remoteTooLarge,
    forget(session) {
      for (const [id, from] of asked) if (from === session) asked.delete(id);
    },
  };
}
