import { createHash, createHmac } from 'node:crypto';

/**
 * The key in an `Idempotency-Key` field: a quoted string, as the draft has it (RFC 9651, section 3.3.3), or the same
 * text bare, as many clients send it; 1 to 255 visible ASCII characters. Undefined for anything else, such as the two
 * values of a field that was sent twice.
 */
export function parseIdempotencyKey(field: string): string | undefined {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(field)?.[1];
  const key = quoted === undefined ? field : quoted.replace(/\\(.)/g, '$1');
  const fits = /^[\x21-\x7e]{1,255}$/.test(key) && (quoted !== undefined || !key.includes('"'));
  return fits ? key : undefined;
}

/** What a request asks for, as far as its repetition must be the same. */
export interface AskedFor {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly contentType: string | undefined;
  /** The conditions under which it is to be done. */
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  /** The kind of the caller's credential and the role under which it is to be done; undefined without a caller. */
  readonly authority: string | undefined;
  readonly body: Uint8Array | undefined;
}

/**
 * What is kept of a key and of the request that it came with: two digests. A body may hold a password, and the plain
 * digest of a body that is known but for the password would let whoever reads the table try passwords fast. So the
 * fingerprint is keyed with the client's key (HMAC-SHA-256, RFC 2104), of which the table has the digest only: it tells
 * nothing as long as the key is hard to guess, as a UUID is.
 */
export function digestRequest(
  key: string,
  { method, path, query, contentType, ifMatch, ifNoneMatch, authority, body }: AskedFor,
) {
  const head = JSON.stringify([
    ...[method, path, query, contentType ?? null],
    ...[ifMatch ?? null, ifNoneMatch ?? null, authority ?? null],
  ]);
  return {
    key: createHash('sha256').update(key).digest(),
    fingerprint: createHmac('sha256', key)
      .update(`${head}\n`)
      .update(body ?? '')
      .digest(),
  };
}
