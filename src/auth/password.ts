/**
 * Passwords at rest: scrypt (RFC 7914) with the parameters that OWASP's password storage cheat sheet names,
 * N = 2^17, r = 8, p = 1. One hash takes 128 MiB and some tenths of a second of one core, which is the point: it
 * costs whoever stole the table as much for every guess.
 *
 * It costs the server too. The work runs in libuv's thread pool, off the event loop; no more than a few run at a
 * time, because each holds its memory and one of the pool's four threads. The others wait in two lanes, and when a lane is
 * full a caller is refused at once instead of waiting for minutes:
 *
 *     sign-in        whoever has an account: sign in, confirm or change the password, set one with a mailed token
 *     registration   anybody: at most all places but one, and a fourth of the turns while others wait for sign-in
 *
 * So registrations cannot keep users from signing in. In each lane the addresses of clients take turns.
 *
 * Stored as `$scrypt$ln=17,r=8,p=1$<salt>$<key>`, base64 without padding. The parameters travel with the hash, so
 * they can be raised later: old hashes still verify, and `needsRehash` says which to renew at the next login.
 */

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { AppError } from '../errors.ts';

/** Says that nobody waits for the hash any more: an AbortSignal, or something lighter. */
export type PasswordSignal = Pick<AbortSignal, 'aborted' | 'reason'>;

/** For whom a password is hashed, which decides when it is. */
export interface PasswordWork {
  readonly signal?: PasswordSignal | undefined;
  /** By default `sign-in`. */
  readonly lane?: 'sign-in' | 'registration';
  /** Who causes the work, such as the address of the client; sources take turns. */
  readonly source?: string;
}

export interface PasswordHasher {
  /** Hashes a password with a new salt. Rejects with `not_ready` when too many wait, or the signal's reason. */
  hash(password: string, work?: PasswordWork): Promise<string>;
  /** Whether the password is the one of a stored hash, in constant time. False for a hash it cannot read. */
  verify(password: string, stored: string, work?: PasswordWork): Promise<boolean>;
  /** Whether a stored hash has other parameters than new ones get. */
  needsRehash(stored: string): boolean;
}

export interface PasswordHasherOptions {
  /** The binary logarithm of N. Lower it for tests only. */
  readonly cost?: number;
  /** How many hashes are computed at a time. */
  readonly concurrency?: number;
  /** How many callers may wait for their turn in the lane for signing in; half of that in the one for registering. */
  readonly maxWaiting?: number;
}

interface Parameters {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

const usualCost = 17;
const blocks = { r: 8, p: 1 };
const saltBytes = 16;
const keyBytes = 32;

/** The largest parameters that a stored hash may ask for: a planted hash must not eat the machine. */
const maxParameters: Parameters = { ln: 20, r: 16, p: 4 };

/**
 * What an account has that has no password yet: a hash like any other, so that comparing with it takes as long, of
 * which nobody knows the password, for the key is drawn and not derived.
 */
export function unusableHash(): string {
  return formatHash({ ...blocks, ln: usualCost }, randomBytes(saltBytes), randomBytes(keyBytes));
}

/** Makes a hasher. One serves the whole process, since the bounds are per hasher. */
export function createPasswordHasher({
  cost = usualCost,
  concurrency = 2,
  maxWaiting = 50,
}: PasswordHasherOptions = {}): PasswordHasher {
  const current: Parameters = { ...blocks, ln: cost };
  const semaphore = createSemaphore({
    concurrency,
    lanes: {
      'sign-in': { maxRunning: concurrency, maxWaiting, weight: 3 },
      registration: {
        maxRunning: Math.min(concurrency, Math.max(1, concurrency - 1)),
        maxWaiting: Math.ceil(maxWaiting / 2),
        weight: 1,
      },
    },
    createFullError: () =>
      new AppError('not_ready', 'Too many passwords are being worked on at the moment: try again shortly.', {
        headers: { 'retry-after': '5' },
      }),
  });

  async function withPermit<T>(
    work: () => Promise<T>,
    { signal, lane = 'sign-in', source = '' }: PasswordWork = {},
  ): Promise<T> {
    return semaphore.run({ lane, source }, () => {
      // Whoever waited may be gone by now; then the turn goes to the next at once.
      if (signal?.aborted) throw signal.reason;
      return work();
    });
  }

  return {
    async hash(password, work) {
      const salt = randomBytes(saltBytes);
      const key = await withPermit(() => deriveKey(password, salt, keyBytes, current), work);
      return formatHash(current, salt, key);
    },
    async verify(password, stored, work) {
      const hash = parseHash(stored);
      if (hash === undefined) return false;
      const key = await withPermit(() => deriveKey(password, hash.salt, hash.key.length, hash), work);
      return timingSafeEqual(key, hash.key);
    },
    needsRehash(stored) {
      const hash = parseHash(stored);
      return hash === undefined || hash.ln !== current.ln || hash.r !== current.r || hash.p !== current.p;
    },
  };
}

const scryptKey = promisify<
  string,
  Buffer,
  number,
  { N: number; r: number; p: number; maxmem: number },
  Buffer
>(scrypt);

/**
 * The same password typed on two keyboards may be two sequences of code points; NFKC makes one of them
 * (NIST SP 800-63B, section 3.1.1.2).
 */
function deriveKey(
  password: string,
  salt: Buffer,
  length: number,
  { ln, r, p }: Parameters,
): Promise<Buffer> {
  const N = 2 ** ln;
  return scryptKey(password.normalize('NFKC'), salt, length, { N, r, p, maxmem: 256 * r * (N + p) });
}

function parseHash(
  stored: string,
): (Parameters & { readonly salt: Buffer; readonly key: Buffer }) | undefined {
  const parts =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{8,86})\$([A-Za-z0-9+/]{22,86})$/.exec(
      stored,
    );
  if (parts === null) return undefined;
  const [, ln, r, p, salt = '', key = ''] = parts;
  const parameters = { ln: Number(ln), r: Number(r), p: Number(p) };
  const fits = (['ln', 'r', 'p'] as const).every(
    (name) => parameters[name] >= 1 && parameters[name] <= maxParameters[name],
  );
  return fits
    ? { ...parameters, salt: Buffer.from(salt, 'base64'), key: Buffer.from(key, 'base64') }
    : undefined;
}

function formatHash({ ln, r, p }: Parameters, salt: Buffer, key: Buffer): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${encode(salt)}$${encode(key)}`;
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
