/**
 * Password hashing with scrypt (RFC 7914) and the parameters of the OWASP password storage cheat sheet: N = 2^17, r = 8,
 * p = 1. One hash takes 128 MiB and some tenths of a second of one core. An attacker who stole the table pays that price for
 * every guess.
 *
 * The server pays it too. The work runs in the thread pool of libuv, off the event loop. Only a few hashes run at a time,
 * because each holds its memory and one of the four threads of the pool. The others wait in two lanes, and when a lane is
 * full, a caller is rejected immediately instead of waiting for minutes:
 *
 *     sign-in        users with an account: sign in, confirm or change the password, set one with a mailed token
 *     registration   all others: never the last free place, and a quarter of the throughput while sign-ins wait
 *
 * So registrations cannot keep users from signing in. Within a lane, client addresses are served round robin.
 *
 * A hash is stored as `$scrypt$ln=17,r=8,p=1$<salt>$<key>`, in base64 without padding. The parameters are part of the hash,
 * so they can be raised later: old hashes still verify, and `needsRehash` selects those to renew at the next login.
 */

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { AppError } from '../errors.ts';

/** Aborts the work when its caller no longer waits: an AbortSignal or a lighter equivalent. */
export type PasswordSignal = Pick<AbortSignal, 'aborted' | 'reason'>;

/** Scheduling of the work on a password. */
export interface PasswordWork {
  readonly signal?: PasswordSignal | undefined;
  /** Default `sign-in`. */
  readonly lane?: 'sign-in' | 'registration';
  /** The cause of the work, such as the client address. Sources are served round robin. */
  readonly source?: string;
}

export interface PasswordHasher {
  /** Hashes a password with a new salt. Rejects with `not_ready` if the lane is full, or with the reason of the signal. */
  hash(password: string, work?: PasswordWork): Promise<string>;
  /** Returns whether the password matches a stored hash, in constant time. False for an unreadable hash. */
  verify(password: string, stored: string, work?: PasswordWork): Promise<boolean>;
  /** Returns whether a stored hash has other parameters than new hashes. */
  needsRehash(stored: string): boolean;
}

export interface PasswordHasherOptions {
  /** The binary logarithm of N. Lower it in tests only. */
  readonly cost?: number;
  /** How many hashes are computed concurrently. */
  readonly concurrency?: number;
  /** How many callers may wait in the lane `sign-in`; the lane `registration` holds half of that. */
  readonly maxWaiting?: number;
}

interface Parameters {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

const defaultCost = 17;
const blocks = { r: 8, p: 1 };
const saltBytes = 16;
const keyBytes = 32;

/** The maximum parameters of a stored hash: a manipulated row must not exhaust memory and processor. */
const maxParameters: Parameters = { ln: 20, r: 16, p: 4 };

/**
 * Returns a hash for an account without a password. Verifying against it takes as long as against any other, and no password
 * matches, because its key is random instead of derived.
 */
export function unusableHash(): string {
  return formatHash({ ...blocks, ln: defaultCost }, randomBytes(saltBytes), randomBytes(keyBytes));
}

/** Creates a hasher. Use one per process, because its bounds are per hasher. */
export function createPasswordHasher({
  cost = defaultCost,
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
      new AppError('not_ready', 'Too many passwords are being processed at the moment: try again shortly.', {
        headers: { 'retry-after': '5' },
      }),
  });

  async function withPermit<T>(
    work: () => Promise<T>,
    { signal, lane = 'sign-in', source = '' }: PasswordWork = {},
  ): Promise<T> {
    return semaphore.run({ lane, source }, () => {
      // The caller may be gone by now. The permit then passes to the next one immediately.
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
 * Derives the key of a password. The same password typed on different keyboards can be different code points; NFKC unifies
 * them (NIST SP 800-63B, section 3.1.1.2).
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
