import { display } from '../../lib/text.ts';
import { isLoopbackHost } from '../../lib/url.ts';

/** The client that asks, as a person should see it. Plain text: not escaped yet. */
export interface Application {
  readonly name: string;
  /** Who vouches for the name: the host of a client id metadata document; `undefined`: nobody does. */
  readonly publisher: string | undefined;
  /** Host (and port) of the redirect URI; `undefined` for a device. */
  readonly returnsTo: string | undefined;
  /** False: the answer leaves this computer. */
  readonly returnsToThisComputer: boolean;
}

export interface ClientFacts {
  readonly clientId: string;
  readonly clientName: string | undefined;
}

export function describeApplication(client: ClientFacts, redirectUri: string | undefined): Application {
  const name = display(client.clientName ?? '', 60) || display(client.clientId, 60);
  const publisher = client.clientId.startsWith('https://') ? new URL(client.clientId).host : undefined;
  if (!redirectUri || !URL.canParse(redirectUri)) {
    return { name, publisher, returnsTo: undefined, returnsToThisComputer: true };
  }
  const { protocol, host, hostname } = new URL(redirectUri);
  const web = protocol === 'https:' || protocol === 'http:';
  return {
    name,
    publisher,
    returnsTo: display(web ? host : `${protocol}//${host}`, 100),
    returnsToThisComputer: !web || isLoopbackHost(hostname),
  };
}
