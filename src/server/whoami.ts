import type { Identity } from '../lib/identity.ts';

/** The product's one tool, in its two forms. `readOnlyHint` decides whether some clients call it at all. */
const base = {
  name: 'whoami',
  title: 'Who am I',
  description: 'Tells who the current user is: the identity claims of the signed-in caller.',
  inputSchema: { type: 'object', properties: {} },
  annotations: {
    title: 'Who am I',
    readOnlyHint: true,
    destructiveHint: false,
    idempotentHint: true,
    openWorldHint: false,
  },
} as const;

export const whoamiTool = {
  ...base,
  outputSchema: {
    type: 'object',
    properties: {
      sub: { type: 'string', description: 'Identifier of the user at the issuer' },
      iss: { type: 'string', description: 'The authorization server that vouches for the user' },
    },
    required: ['sub', 'iss'],
    additionalProperties: true,
  },
} as const;

/** Without authentication there are no claims to promise, hence no `outputSchema`. */
export const anonymousTool = base;

export interface ToolResult {
  readonly content: readonly { readonly type: 'text'; readonly text: string }[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
}

const results = new WeakMap<Identity, ToolResult>();

/** What `whoami` answers: the claims, as JSON text and as structured content. Made once for each identity. */
export function whoamiResult(identity: Identity): ToolResult {
  const known = results.get(identity);
  if (known) return known;
  const { claims } = identity;
  const result = {
    content: [{ type: 'text', text: JSON.stringify(claims) } as const],
    structuredContent: claims,
  };
  results.set(identity, result);
  return result;
}

/** The answer when nobody can be known (`--no-auth`): a statement about the caller, not a failed call. */
export const anonymousResult: ToolResult = {
  content: [{ type: 'text', text: JSON.stringify({ error: 'Not authenticated' }) }],
};
