/** The ways to find out whose an access token is. */
export type Way = 'jwt' | 'introspection' | 'userinfo';

/** What an authorization server is asked for. */
export type ProviderEndpoint = 'metadata' | 'jwks' | 'introspection' | 'userinfo';

/** What happens while tokens are verified, for whoever counts it. Never a token, never a name of a user. */
export type VerificationEvent =
  /** A request asked for a verdict, and this is where it came from. */
  | {
      readonly name: 'verdict_cache';
      /** `joined`: the question was under way already; `stale`: run out, and served while the provider fails. */
      readonly result: 'hit' | 'negative' | 'joined' | 'miss' | 'stale';
    }
  /** A token was verified, not only looked up. `unavailable`: there was no verdict to be had. */
  | {
      readonly name: 'token_verified';
      readonly issuer: string;
      readonly way: Way;
      readonly outcome: 'accepted' | 'rejected' | 'insufficient_scope' | 'unavailable';
    }
  /** A good token was turned away by `--required-scope` or `--allow`. */
  | {
      readonly name: 'policy_refused';
      readonly issuer: string;
      readonly reason: 'insufficient_scope' | 'access_denied';
    }
  /** The authorization server was asked. `status` is `undefined` when no whole answer came. */
  | {
      readonly name: 'provider_request';
      readonly issuer: string;
      readonly endpoint: ProviderEndpoint;
      readonly status: number | undefined;
      readonly milliseconds: number;
    };

/** Takes each event as it happens. It must be quick, and must not throw. */
export type Observer = (event: VerificationEvent) => void;
