import { errorMeta } from '../bridge/errors.ts';
import { AppError, type ErrorCode, errorCodes, reasonOf } from '../lib/errors.ts';
import { isObject, type JsonObject, parseJsonObject, stringMember } from '../lib/json.ts';

const isErrorCode = (text: unknown): text is ErrorCode => errorCodes.some((code) => code === text);

/**
 * The claims in the result of a `whoami` call. Throws AppError: the bridge's own failure with its code, or
 * `remote_error` for a tool that failed or answered something else, with the tool's own text.
 */
export function claimsOf(result: unknown): JsonObject {
  const { content, isError, structuredContent, _meta } = isObject(result) ? result : ({} as JsonObject);
  const texts = Array.isArray(content) ? content.filter(isObject).map((part) => part.text) : [];
  const text = texts.find((one): one is string => typeof one === 'string') ?? '';
  if (isError === true) {
    const own = isObject(_meta) && isObject(_meta[errorMeta]) ? fromData(_meta[errorMeta], text) : undefined;
    throw own ?? new AppError('remote_error', text || 'the tool failed without a word');
  }
  return isObject(structuredContent)
    ? structuredContent
    : parseJsonObject(text, 'the whoami tool', 'remote_error');
}

/** A failure as the SDK's client throws it, as ours again: the bridge's code and hint travel in `data`. */
export function errorOf(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const message = reasonOf(thrown).replace(/^MCP error -?\d+: /, '');
  const data = (thrown as { data?: unknown }).data;
  const own = isObject(data) ? fromData(data, message) : undefined;
  return own ?? new AppError('remote_error', message, { cause: thrown });
}

function fromData(data: JsonObject, text: string): AppError | undefined {
  if (!isErrorCode(data.code)) return undefined;
  const hint = stringMember(data, 'hint');
  const sentence = stringMember(data, 'message') ?? text.replace(/\. Next: .*$/s, '');
  return new AppError(data.code, sentence, { hint });
}
