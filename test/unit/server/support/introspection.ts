import { openTestProvider, type TestProvider } from './provider.ts';

/** A provider whose metadata names its introspection endpoint. */
export async function introspectingProvider(): Promise<TestProvider> {
  const one = await openTestProvider();
  one.metadata = { ...one.metadata, introspection_endpoint: `${one.issuer}/introspect` };
  return one;
}
