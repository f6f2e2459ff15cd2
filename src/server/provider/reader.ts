import { type Answer, budgets, type HttpClient, type RequestOptions } from '../../lib/http.ts';
import type { Observer, ProviderEndpoint } from '../verify/events.ts';

export type ProviderRequest = Pick<RequestOptions, 'method' | 'headers' | 'body'>;

/** The way out to one authorization server: bounded in size and time, no redirect followed, each request told. */
export interface ProviderReader {
  /** Throws what `HttpClient.read` throws. */
  read(endpoint: ProviderEndpoint, url: URL, request: ProviderRequest): Promise<Answer>;
}

export function createProviderReader(http: HttpClient, issuer: string, observe: Observer): ProviderReader {
  return {
    async read(endpoint, url, request) {
      const start = performance.now();
      let status: number | undefined;
      try {
        const answer = await http.read(url, {
          ...request,
          maxBytes: budgets.providerBody,
          totalTimeoutMs: budgets.providerTotalMs,
        });
        status = answer.status;
        return answer;
      } finally {
        const milliseconds = performance.now() - start;
        observe({ name: 'provider_request', issuer, endpoint, status, milliseconds });
      }
    },
  };
}
