import { reasonOf } from '../lib/errors.ts';
import { isObject, type JsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import { type Catalogue, type CatalogueStore, type ListMethod, listMethods } from './catalogue.ts';
import { emptyList, itemsOf, localGreeting, placeholderList, signInTool } from './greeting.ts';
import { isTame, memberSource, notificationLine, oneLine } from './message.ts';
import type { Connected } from './remote/transport.ts';

export interface ListsOptions {
  readonly server: URL;
  readonly store: CatalogueStore;
  readonly log: Log;
  /** Asks the remote; the answer's members and text, `undefined` when there was none or an error. */
  request(method: string, params: JsonObject): Promise<Answer | undefined>;
  /** Writes a line to the client. */
  tell(line: string): void;
}

export interface Answer {
  readonly json: JsonObject;
  readonly text: string;
}

/**
 * What is known of the server's greeting and lists, and what the client has been told of them. Where the two
 * differ, the client is told by `list_changed`.
 */
export interface Lists {
  load(): Promise<Catalogue | undefined>;
  /** The answer to `initialize` from what is saved, as JSON text. */
  greeting(wanted: unknown): string;
  /** The remote's own answer to `initialize`; whether the client gets it as it is. */
  greeted(connected: Connected, passedOn: boolean): void;
  /** The list to give at once when the remote cannot be asked. */
  local(method: ListMethod): string;
  /** The saved list, if there is one. */
  saved(method: ListMethod): string | undefined;
  /** Whether the client was told of a kind of list that the remote turned out not to have. */
  lacks(method: ListMethod): boolean;
  /** Remembers what the client was given. */
  gave(method: ListMethod, result: string): void;
  /** The remote has answered a list request of the client; whether the client gets that answer. */
  seen(method: ListMethod, answer: Answer, passedOn: boolean): void;
  /** Asks the remote for the lists anew: all of them, or those that one of its notifications names. */
  refresh(notification?: string): Promise<void>;
  /** Whether `sign_in` means our own tool: the client has it from us, or the server has no tool of that name. */
  ownsSignIn(): boolean;
}

/** More pages than this are no list, but a loop. */
const mostPages = 200;
const unknownYet = 'unknown yet';

export function createLists({ server, store, log, request, tell }: ListsOptions): Lists {
  let saved: Catalogue | undefined;
  let onDisk = '';
  let toldLocally = false;
  let warned = false;
  /** What the remote of this run can do; `undefined` until it has answered. */
  let capabilities: JsonObject | undefined;
  /** The items that the client has, by list. */
  const given = new Map<ListMethod, string>();

  const has = (method: ListMethod) => capabilities?.[familyOf(method)] !== undefined;

  function record(method: ListMethod, result: string): void {
    if (!saved) return;
    saved = { ...saved, lists: { ...saved.lists, [method]: result } };
    const before = given.get(method);
    const after = itemsIn(method, result);
    if (before === undefined || before === after) return;
    given.set(method, after);
    if (before !== unknownYet) tell(notificationLine(`notifications/${familyOf(method)}/list_changed`));
  }

  async function save(): Promise<void> {
    if (!saved) return;
    const content = JSON.stringify(saved);
    if (content === onDisk) return;
    onDisk = content;
    await store.save(saved).catch((error: unknown) => {
      const say = warned ? log.debug : log.warn;
      warned = true;
      say('the catalogue cannot be saved; the next start knows less', { reason: reasonOf(error) });
    });
  }

  async function fetchList(method: ListMethod): Promise<string | undefined> {
    const pages: Answer[] = [];
    for (let cursor: unknown; pages.length < mostPages; ) {
      const answer = await request(method, cursor === undefined ? {} : { cursor });
      if (!answer || !isObject(answer.json.result) || !isTame(answer.text)) return undefined;
      pages.push(answer);
      cursor = answer.json.result.nextCursor;
      if (cursor === undefined) return joinPages(method, pages);
    }
    return undefined;
  }

  let refreshing: Promise<void> = Promise.resolve();
  async function refreshNow(methods: readonly ListMethod[]): Promise<void> {
    for (const method of methods) {
      if (!has(method)) {
        if (given.has(method)) record(method, emptyList(method));
        continue;
      }
      const result = await fetchList(method);
      if (result !== undefined) record(method, result);
    }
    await save();
  }

  return {
    async load() {
      saved = await store.load();
      onDisk = saved ? JSON.stringify(saved) : '';
      return saved;
    },
    greeting(wanted) {
      toldLocally = true;
      return localGreeting(wanted, saved);
    },
    greeted({ transport, text, json }, passedOn) {
      const result = isObject(json.result) ? json.result : {};
      capabilities = isObject(result.capabilities) ? result.capabilities : {};
      if (passedOn) toldLocally = false;
      const initialize = oneLine(memberSource(text, 'result') ?? '{}');
      const lists = Object.fromEntries(
        Object.entries(saved?.lists ?? {}).filter(([method]) => has(method as ListMethod)),
      );
      saved = { transport: transport.kind, initialize, lists };
    },
    local: (method) =>
      saved?.lists[method] ?? (method === 'tools/list' ? placeholderList(method, server) : emptyList(method)),
    saved: (method) => saved?.lists[method],
    lacks: (method) => toldLocally && capabilities !== undefined && !has(method),
    gave(method, result) {
      given.set(method, itemsIn(method, result));
    },
    seen(method, { json, text }, passedOn) {
      const result = memberSource(text, 'result');
      if (!isObject(json.result) || result === undefined || !isTame(text)) return;
      if (json.result.nextCursor !== undefined) {
        if (passedOn) given.set(method, unknownYet);
        return;
      }
      if (passedOn) given.set(method, itemsIn(method, result));
      record(method, oneLine(result));
      void save();
    },
    refresh(notification) {
      const methods = listMethods.filter(
        (method) =>
          notification === undefined || notification === `notifications/${familyOf(method)}/list_changed`,
      );
      // The client has heard of the change from the server itself.
      if (notification !== undefined) for (const method of methods) given.delete(method);
      refreshing = refreshing.then(() => refreshNow(methods));
      return refreshing;
    },
    ownsSignIn() {
      const tools = saved?.lists['tools/list'];
      return tools === undefined || !hasTool(tools, signInTool);
    },
  };
}

/** The capability that a list belongs to, which is also the name of its notification. */
function familyOf(method: ListMethod): 'tools' | 'prompts' | 'resources' {
  if (method === 'tools/list') return 'tools';
  return method === 'prompts/list' ? 'prompts' : 'resources';
}

export function joinPages(method: ListMethod, pages: readonly Answer[]): string {
  const [first] = pages;
  if (pages.length === 1 && first) return oneLine(memberSource(first.text, 'result') ?? emptyList(method));
  const items = pages.flatMap(({ json }) => {
    const page = isObject(json.result) ? json.result[itemsOf[method]] : undefined;
    return Array.isArray(page) ? page : [];
  });
  return JSON.stringify({ [itemsOf[method]]: items });
}

/** The items of a list in a form that can be compared. */
function itemsIn(method: ListMethod, result: string): string {
  const json = JSON.parse(result) as JsonObject;
  return JSON.stringify(json[itemsOf[method]] ?? []);
}

function hasTool(result: string, name: string): boolean {
  const { tools } = JSON.parse(result) as { tools?: unknown };
  return Array.isArray(tools) && tools.some((tool) => isObject(tool) && tool.name === name);
}
