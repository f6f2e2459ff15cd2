import tls from 'node:tls';

/** Node's own list of authorities: from 22.15 on with the system's and `NODE_EXTRA_CA_CERTS`, where it uses them. */
const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] };

/** A TLS context that trusts further certificate authorities beside those that Node trusts. In: their PEM texts. */
export function trusting(authorities: readonly string[]): tls.SecureContext {
  const known = getCACertificates?.('default') ?? tls.rootCertificates;
  return tls.createSecureContext({ ca: [...known, ...authorities] });
}
