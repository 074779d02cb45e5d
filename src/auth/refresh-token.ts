/**
 * Refresh tokens: each one renews its session once and is replaced by a successor.
 *
 *     srt_ + base64url( session id, 16 bytes | secret, 32 random bytes | MAC, 12 bytes )
 *
 * - The session id finds the row. It is not secret and grants nothing.
 * - The secret grants access: 256 random bits, stored as SHA-256 only. They cannot be guessed, so a slow hash is unnecessary.
 * - The MAC proves that this server issued the token. The row holds the current token and the previous one. If an older token
 *   is used again, it was copied, and the MAC distinguishes it from made-up text. The MAC grants nothing either: a token whose
 *   hash is in the row is accepted with any MAC, so that changing the secrets of the server ends no session.
 *
 * 60 bytes encode to 80 characters without leftover bits, so a token has exactly one spelling.
 *
 * A successor is stored sealed with AES-256-GCM under a key derived from its predecessor. So a client that repeats the
 * predecessor can get the same successor, and a reader of the database cannot use either.
 *
 * Apart from the random bytes everything here is pure; `features/identity/auth/` decides when a token may be used.
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
  /** The complete token, as the client sends it. */
  readonly text: string;
  /** The id of its session, a UUID. */
  readonly sessionId: string;
  /** Its SHA-256, which the database stores. */
  readonly hash: Buffer;
  /** Whether its MAC is valid. False for a forged token, and for one issued with secrets that are no longer configured. */
  readonly genuine: boolean;
}

export interface RefreshTokens {
  /** Creates a new token for a session. */
  issue(sessionId: string): RefreshToken;
  /** Parses a token. Returns undefined for a malformed text. */
  read(text: string): RefreshToken | undefined;
}

const prefix = 'srt_';
const form = /^srt_[A-Za-z0-9_-]{80}$/;
const idBytes = 16;
const secretBytes = 32;
const macBytes = 12;
const nonceBytes = 12;
const sealTagBytes = 16;

/** Creates the issuer and parser of tokens. The first secret creates MACs, all secrets verify. */
export function createRefreshTokens(secrets: readonly string[]): RefreshTokens {
  const keys = secrets.map((secret) => deriveKey(secret, 'strata refresh token mac'));
  const [signingKey] = keys;
  if (signingKey === undefined) throw new RangeError('Refresh tokens need at least one secret.');

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

/** Seals a token so that it can be opened only with its predecessor. */
export function sealSuccessor(successor: RefreshToken, predecessor: RefreshToken): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', sealKey(predecessor), nonce);
  const sealed = Buffer.concat([cipher.update(successor.text), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

/** Opens a sealed token. Throws an Error if it was sealed with another predecessor, or is damaged. */
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

/** Derives a key for one purpose with HKDF (RFC 5869). The key discloses nothing about the secret. */
function deriveKey(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', purpose, 32));
}

function uuidToBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function bytesToUuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
