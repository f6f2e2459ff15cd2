/** An `endpoint` event is the first of its stream, and short. Characters. */
const longest = 16 * 1024;
const endpointEvent = /(?:^|[\r\n])event: ?endpoint(?:\r\n|\r|\n)data: ?([^\r\n]*)[\r\n]/;

/**
 * Watches the beginning of an HTTP+SSE stream (MCP 2024-11-05, transports) for the session name in the address that
 * its `endpoint` event gives to the client. Out: what takes each chunk as it goes by.
 */
export function watchEndpoint(give: (name: string) => void): (chunk: string | Uint8Array) => void {
  /** What has come so far; `undefined`: nothing is looked for any more. */
  let seen: string | undefined = '';
  return (chunk) => {
    if (seen === undefined) return;
    seen += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
    const address = endpointEvent.exec(seen)?.[1];
    if (address !== undefined) {
      const name = new URL(address, 'http://localhost').searchParams.get('sessionId');
      if (name !== null) give(name);
    }
    if (address !== undefined || seen.length > longest) seen = undefined;
  };
}

export const isEventStream = (contentType: unknown) => /^text\/event-stream\b/i.test(String(contentType));
