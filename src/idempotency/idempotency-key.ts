import { createHash, createHmac } from 'node:crypto';

/**
 * Returns the key in an `Idempotency-Key` field: a quoted string, as in the draft (RFC 9651, section 3.3.3), or the bare
 * text, as many clients send it. A key has 1 to 255 visible ASCII characters. Returns undefined for anything else, such as
 * the joined values of a field that was sent twice.
 */
export function parseIdempotencyKey(field: string): string | undefined {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(field)?.[1];
  const key = quoted === undefined ? field : quoted.replace(/\\(.)/g, '$1');
  const fits = /^[\x21-\x7e]{1,255}$/.test(key) && (quoted !== undefined || !key.includes('"'));
  return fits ? key : undefined;
}

/** The parts of a request that a repetition must have unchanged. */
export interface RequestIdentity {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly contentType: string | undefined;
  /** The conditions of the request. */
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  /** The kind of credential and the role of the caller; undefined without a caller. */
  readonly authority: string | undefined;
  readonly body: Uint8Array | undefined;
}

/**
 * Returns the two digests that are stored: of the key and of the request. A body may contain a password, and a plain digest
 * of an otherwise known body would allow a reader of the table to guess the password fast. So the fingerprint is an
 * HMAC-SHA-256 (RFC 2104) with the key of the client, and the table stores only the digest of that key. The fingerprint
 * discloses nothing if the key is hard to guess, such as a UUID.
 */
export function digestRequest(
  key: string,
  { method, path, query, contentType, ifMatch, ifNoneMatch, authority, body }: RequestIdentity,
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
