import type { Log } from '../lib/log.ts';

const notice = /^(?:\u001b\[[\d;]*m)*oidc-provider (?:NOTICE|WARNING): /;
const listeners = new Set<Log>();
let restore: (() => void) | undefined;

/**
 * Leads what the oidc-provider library prints on the console (its runtime check, its notices about defaults) to
 * the log, at debug level: standard output may be carrying MCP messages. Everything else on the console passes.
 *
 * Out: a function that ends it. Holds as long as one caller has not ended it.
 */
export function quietLibrary(log: Log): () => void {
  listeners.add(log);
  restore ??= intercept(globalThis.console);
  return () => {
    listeners.delete(log);
    if (listeners.size > 0) return;
    restore?.();
    restore = undefined;
  };
}

function intercept(target: Console): () => void {
  const { info, warn } = target;
  const filtered =
    (print: typeof info): typeof info =>
    (...args) => {
      const text = String(args[0]);
      if (!notice.test(text)) return print.apply(target, args);
      for (const log of listeners) log.debug('oidc-provider', { notice: text.replace(notice, '') });
    };
  target.info = filtered(info);
  target.warn = filtered(warn);
  return () => {
    target.info = info;
    target.warn = warn;
  };
}
