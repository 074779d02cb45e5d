import type { JsonSchema } from './schemas.ts';

export interface Header {
  readonly description: string;
  readonly schema: JsonSchema;
}

/** A header of a response: described there, or a reference to `components/headers`. */
export type HeaderUse = Header | { readonly $ref: string };

/** Headers of more than one response, spelled as in their standards. */
export const standardHeaders = {
  'Access-Control-Allow-Origin': {
    description: 'The origin of the page that asked, where the CORS settings of the server allow it.',
    schema: { type: 'string', maxLength: 255, pattern: '^(?:\\*|[a-z][a-z0-9+.-]*://\\S+)$' },
  },
  ETag: {
    description:
      'The validator of this representation (RFC 9110, section 8.8.3), for If-Match and If-None-Match.',
    schema: { type: 'string', maxLength: 128, pattern: '^(?:W/)?"[^"]*"$' },
  },
  'Idempotency-Replayed': {
    description: '`true` if this is the stored response to an earlier request with the same Idempotency-Key.',
    schema: { type: 'string', enum: ['true'] },
  },
  Link: {
    description: 'Related resources (RFC 8288), such as the next page.',
    schema: { type: 'string', maxLength: 8192, pattern: '^<[^>]*>' },
  },
  Location: {
    description: 'The URL of the resource.',
    schema: { type: 'string', maxLength: 8192, format: 'uri-reference' },
  },
  RateLimit: {
    description:
      'The quota with the fewest remaining requests (`r`), and the seconds until one more is allowed (`t`).',
    schema: {
      type: 'string',
      maxLength: 128,
      pattern: '^"[a-z0-9-]+";r=\\d+;t=\\d+$',
      examples: ['"minute";r=69;t=60'],
    },
  },
  'RateLimit-Policy': {
    description: 'The quotas: requests (`q`) in a window of seconds (`w`).',
    schema: {
      type: 'string',
      maxLength: 512,
      pattern: '^"[a-z0-9-]+";q=\\d+;w=\\d+',
      examples: ['"minute";q=70;w=60, "hour";q=1000;w=3600'],
    },
  },
  'Retry-After': {
    description: 'The number of seconds to wait before the next attempt.',
    schema: { type: 'integer', format: 'int32', minimum: 1, maximum: 86_400 },
  },
  'WWW-Authenticate': {
    description: 'How to authenticate (RFC 9110, section 11.6.1), and why the token was rejected (RFC 6750).',
    schema: {
      type: 'string',
      maxLength: 512,
      pattern: '^Bearer\\b',
      examples: ['Bearer realm="strata"'],
    },
  },
  'X-Request-ID': {
    description: 'The id of the request: yours if you sent a valid one, otherwise a new one.',
    schema: { type: 'string', maxLength: 128, pattern: '^[A-Za-z0-9._-]{1,128}$' },
  },
} as const satisfies Record<string, Header>;

export type StandardHeader = keyof typeof standardHeaders;

/** Returns the usual spelling of a header name: `If-Match` for `if-match`, and that of its standard for a standard header. */
export function headerName(name: string): string {
  const known = Object.keys(standardHeaders).find((each) => each.toLowerCase() === name.toLowerCase());
  return (
    known ??
    name.replace(/[a-z]+/gi, (word) => `${word.charAt(0).toUpperCase()}${word.slice(1).toLowerCase()}`)
  );
}

/** Returns a header with this description. Its schema is that of the standard header, or any printable text. */
export function describeHeader(name: string, description: string): Header {
  const standard = Object.entries(standardHeaders).find(([each]) => each === headerName(name))?.[1];
  return {
    description,
    schema: standard?.schema ?? { type: 'string', maxLength: 8192, pattern: '^[\\t -~]*$' },
  };
}
