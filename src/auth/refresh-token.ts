/**
 * Refresh tokens: what a session is carried on with, each good for one step.
 *
 *     srt_ + base64url( session id, 16 bytes | secret, 32 random bytes | MAC, 12 bytes )
 *
 * - The session id finds the row; it is no secret and gives no right.
 * - The secret gives the right: 256 random bits, of which the database has a SHA-256 only. A slow hash would be wasted
 *   on what nobody can guess.
 * - The MAC says that this server issued the token. The row knows the current token and the one before; without the MAC
 *   an older one that comes back, which means that it was copied, could not be told from made-up text. It gives no right
 *   either: a token whose hash is in the row counts, whatever its MAC, so changed server secrets end no session.
 *
 * 60 bytes are 80 characters with no bit left over: a token has one spelling.
 *
 * A successor is stored sealed with AES-256-GCM under a key that is derived from its predecessor. So a client that sends
 * the predecessor again can be given the same successor, and a reader of the database can do nothing with either.
 *
 * Everything here is pure but for the random bytes: when a token may be used is for `features/identity/auth/` to say.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

export interface RefreshToken {
  /** What the client sends. */
  readonly text: string;
  /** The session it belongs to, as a UUID. */
  readonly sessionId: string;
  /** Its SHA-256, which is stored. */
  readonly hash: Buffer;
  /** Whether its MAC is of this server. False for a forgery, and for one from before the secrets were changed. */
  readonly genuine: boolean;
}

export interface RefreshTokens {
  /** Makes a new token for a session. */
  issue(sessionId: string): RefreshToken;
  /** Takes a token apart; undefined for what has not the form of one. */
  read(text: string): RefreshToken | undefined;
}

const prefix = 'srt_';
const form = /^srt_[A-Za-z0-9_-]{80}$/;
const idBytes = 16;
const secretBytes = 32;
const macBytes = 12;
const nonceBytes = 12;
const sealTagBytes = 16;

/** Makes what issues and reads tokens. Of the server's secrets the first makes MACs, and all of them verify. */
export function createRefreshTokens(secrets: readonly string[]): RefreshTokens {
  const keys = secrets.map((secret) => deriveKey(secret, 'strata refresh token mac'));
  const [signingKey] = keys;
  if (signingKey === undefined) throw new RangeError('Refresh tokens need one secret at least.');

  return {
    issue(sessionId) {
      const signed = Buffer.concat([uuidToBytes(sessionId), randomBytes(secretBytes)]);
      const bytes = Buffer.concat([signed, macOf(signed, signingKey)]);
      return describe(`${prefix}${bytes.toString('base64url')}`, sessionId, true);
    },
    read(text) {
      if (!form.test(text)) return undefined;
      const bytes = Buffer.from(text.slice(prefix.length), 'base64url');
      const signed = bytes.subarray(0, idBytes + secretBytes);
      const mac = bytes.subarray(idBytes + secretBytes);
      const genuine = keys.some((key) => timingSafeEqual(macOf(signed, key), mac));
      return describe(text, bytesToUuid(bytes.subarray(0, idBytes)), genuine);
    },
  };
}

/** Seals a token so that only whoever has its predecessor can open it. */
export function sealSuccessor(successor: RefreshToken, predecessor: RefreshToken): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', sealKey(predecessor), nonce);
  const sealed = Buffer.concat([cipher.update(successor.text), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** The text of the sealed token. Throws an Error if it was sealed for another predecessor, or is damaged. */
export function openSuccessor(sealed: Uint8Array, predecessor: RefreshToken): string {
  const decipher = createDecipheriv('aes-256-gcm', sealKey(predecessor), sealed.subarray(0, nonceBytes), {
    authTagLength: sealTagBytes,
  });
  decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + sealTagBytes));
  const opened = decipher.update(sealed.subarray(nonceBytes + sealTagBytes));
  return Buffer.concat([opened, decipher.final()]).toString();
}

function describe(text: string, sessionId: string, genuine: boolean): RefreshToken {
  return { text, sessionId, hash: createHash('sha256').update(text).digest(), genuine };
}

function macOf(signed: Uint8Array, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(signed).digest().subarray(0, macBytes);
}

function sealKey(predecessor: RefreshToken): Uint8Array {
  return deriveKey(predecessor.text, 'strata refresh token successor');
}

/** HKDF (RFC 5869): a key that says nothing of what it was derived from, and serves one purpose. */
function deriveKey(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', purpose, 32));
}

function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function bytesToUuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
