import type { JsonSchema } from './schemas.ts';

export interface Header {
  readonly description: string;
  readonly schema: JsonSchema;
}

/** A header as it stands in a response: described there, or by reference to `components/headers`. */
export type HeaderUse = Header | { readonly $ref: string };

/** Headers that more than one answer carries, under the names that their standards write. */
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
    description: '`true` if this is the answer that an earlier request with the same Idempotency-Key had.',
    schema: { type: 'string', enum: ['true'] },
  },
  Link: {
    description: 'Related resources (RFC 8288), such as the next page.',
    schema: { type: 'string', maxLength: 8192, pattern: '^<[^>]*>' },
  },
  Location: {
    description: 'Where the thing is.',
    schema: { type: 'string', maxLength: 8192, format: 'uri-reference' },
  },
  RateLimit: {
    description:
      'The quota nearest to its end: requests that remain (`r`), and seconds until it grows (`t`).',
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
    description: 'Seconds to wait before the next try.',
    schema: { type: 'integer', format: 'int32', minimum: 1, maximum: 86_400 },
  },
  'WWW-Authenticate': {
    description:
      'How to say who you are (RFC 9110, section 11.6.1), and what was wrong with how you did (RFC 6750).',
    schema: {
      type: 'string',
      maxLength: 512,
      pattern: '^Bearer\\b',
      examples: ['Bearer realm="strata"'],
    },
  },
  'X-Request-ID': {
    description: 'The id of the request: yours if you sent an acceptable one, else a new one.',
    schema: { type: 'string', maxLength: 128, pattern: '^[A-Za-z0-9._-]{1,128}$' },
  },
} as const satisfies Record<string, Header>;

export type StandardHeader = keyof typeof standardHeaders;

/** The way a header's name is written: `if-match` is `If-Match`, and the standard ones have their own. */
export function headerName(name: string): string {
  const known = Object.keys(standardHeaders).find((each) => each.toLowerCase() === name.toLowerCase());
  return (
    known ??
    name.replace(/[a-z]+/gi, (word) => `${word.charAt(0).toUpperCase()}${word.slice(1).toLowerCase()}`)
  );
}

/** A header with a description of its own; its schema is the standard one, or any printable text. */
export function describeHeader(name: string, description: string): Header {
  const standard = Object.entries(standardHeaders).find(([each]) => each === headerName(name))?.[1];
  return {
    description,
    schema: standard?.schema ?? { type: 'string', maxLength: 8192, pattern: '^[\\t -~]*$' },
  };
}
