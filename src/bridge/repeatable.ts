import { isObject, type JsonObject } from '../lib/json.ts';
import { paramsOf } from './message.ts';

/** Requests that only look, or that set what is set already. */
const harmless = new Set([
  'ping',
  'tools/list',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
]);

/**
 * Tells whether a request may run twice: nothing but reading, or a tool whose last seen annotations say
 * `readOnlyHint` or `idempotentHint` (2025-11-25, server/tools). In: where the list of tools is found, as JSON text.
 */
export function createRepeatable(toolList: () => string | undefined) {
  let read: string | undefined;
  let tools = new Set<unknown>();

  function repeatableTools(): Set<unknown> {
    const text = toolList();
    if (text !== read) {
      read = text;
      tools = namesIn(text);
    }
    return tools;
  }

  return (method: string, json: JsonObject): boolean =>
    method === 'tools/call' ? repeatableTools().has(paramsOf(json).name) : harmless.has(method);
}

function namesIn(list = '{}'): Set<unknown> {
  const { tools } = JSON.parse(list) as { tools?: unknown };
  const may = (Array.isArray(tools) ? tools : []).filter((tool: unknown): tool is JsonObject => {
    const annotations = isObject(tool) ? tool.annotations : undefined;
    return (
      isObject(annotations) && (annotations.readOnlyHint === true || annotations.idempotentHint === true)
    );
  });
  return new Set(may.map(({ name }) => name));
}
