import type { PasswordHasher } from '../../../auth/password.ts';
import type { RefreshTokens } from '../../../auth/refresh-token.ts';
import type { Database } from '../../../db/database.ts';
import { AppError } from '../../../errors.ts';
import { clientKey } from '../../../http/connection/addresses.ts';
import type { Logger } from '../../../observability/logger.ts';
import { currentRequest } from '../../../observability/request-context.ts';
import type { Attempts } from '../attempts/attempts.ts';
import type { Client, Grant, MakeGrant } from './grant.ts';
import { openSession } from './open-session.ts';
import type { Transport } from './schema.ts';
import { endSessionsOf, findLogin, type Login, lockLogin, replaceHash } from './store.ts';

export interface Credentials {
  /** The username or the e-mail address. */
  readonly login: string;
  readonly password: string;
  readonly transport: Transport;
}

export interface LoginParts {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly refreshTokens: RefreshTokens;
  readonly makeGrant: MakeGrant;
  readonly attempts: Attempts;
  readonly forgetSession: (sessionId: string) => void;
  readonly log: Logger;
  readonly challenge: string;
  readonly idleMs: number;
  readonly maxMs: number;
  readonly now: () => number;
}

/** Maximum number of sessions per user. A further login ends the least recently used one. */
const maxSessions = 100;

/**
 * Signs in with a password. An unknown login also computes a hash, so that it takes as long as a wrong password and gets
 * the same response: a caller cannot find out which accounts exist. (A hash with older parameters takes as long as those
 * require, until its user signs in and it is renewed.)
 *
 * During the comparison, the password may be changed and all sessions ended. So the session is opened under a lock of the
 * user, and only if the compared hash is still current; otherwise the new hash is compared.
 */
export function createLogin(parts: LoginParts) {
  const { database, passwords, attempts, log, now } = parts;

  return async function logIn({ login, password, transport }: Credentials, client: Client): Promise<Grant> {
    // A username counts as its user, even after a change of name. An e-mail address needs no look-up, because changing it
    // needs the password.
    const named = login.includes('@') ? undefined : await findLogin(database.sql, login);
    const account = named === undefined ? { login } : { usernameOf: named.id };
    const { found, grant } = await attempts.underPermit({ ...account, address: client.address }, async () => {
      for (;;) {
        const found = await compare(login, password, client);
        const grant = await open(found, transport, client);
        if (grant !== undefined) return { found, grant };
      }
    });
    await attempts.succeeded(found, client.address);
    log.info('auth.login.succeeded', {
      user_id: found.id,
      sid: grant.sessionId,
      client_address: client.address,
    });
    return grant;
  };

  /** Returns the user with this login and password, and renews an outdated hash. Rejects with `unauthenticated`. */
  async function compare(login: string, password: string, client: Client): Promise<Login> {
    const work = { signal: currentRequest()?.signal, source: clientKey(client.address) };
    for (;;) {
      const found = await findLogin(database.sql, login);
      if (found === undefined) {
        await passwords.hash(password, work);
        throw unauthenticated({ reason: 'unknown_login' }, client);
      }
      if (!(await passwords.verify(password, found.password_hash, work))) {
        throw unauthenticated({ reason: 'wrong_password', user_id: found.id }, client);
      }
      if (!passwords.needsRehash(found.password_hash)) return found;
      const password_hash = await passwords.hash(password, work);
      if (await replaceHash(database.sql, found, password_hash)) {
        log.info('auth.password.rehashed', { user_id: found.id });
        return { ...found, password_hash };
      }
    }
  }

  function unauthenticated(
    why: { readonly reason: string; readonly user_id?: number },
    client: Client,
  ): AppError {
    log.warning('auth.login.failed', { ...why, client_address: client.address });
    return new AppError(
      'unauthenticated',
      'The login or the password is wrong: check both, or reset the password.',
      { headers: { 'www-authenticate': parts.challenge }, isGuess: true },
    );
  }

  /** Opens a session. Resolves with undefined if the password was changed meanwhile, or the user was deleted. */
  async function open(found: Login, transport: Transport, client: Client): Promise<Grant | undefined> {
    const at = now();
    const opened = await database.transaction(async (tx) => {
      if (!(await lockLogin(tx, found))) return undefined;
      const session = await openSession(tx, { userId: found.id, transport, client, at }, parts);
      const surplus = await endSessionsOf(tx, found.id, {
        reason: 'too_many',
        now: new Date(at),
        keep: maxSessions,
      });
      return { session, surplus };
    });
    if (opened === undefined) return undefined;
    for (const sid of opened.surplus) {
      parts.forgetSession(sid);
      log.info('auth.session.ended', { user_id: found.id, sid, reason: 'too_many' });
    }
    return parts.makeGrant(opened.session, at);
  }
}
