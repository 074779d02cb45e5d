/**
 * Limits guesses at passwords: a few are admitted immediately, then slower and slower, without letting strangers lock the
 * owner out. Every comparison of a password needs a permit from here.
 *
 * An account is the login text as it was typed, whether or not a user has it. The username of an existing user counts as
 * that user, even after a change of name, because an attacker with a stolen session could choose new names. When a
 * signed-in user enters the password again, the account is the user's id with a separate count, so that guesses at the public
 * login do not delay the owner there. Each account has two counts, and an attempt needs a permit from each that applies:
 *
 *     count of                          immediate permits   then one after       maximum per day and account
 *     this account and this address     5                   1, 2, 4 ... 900 s    about 109 from one address
 *     this account and all strangers    30                  1, 2, 4 ... 60 s     about 1,475 from all strangers together
 *
 * An address is known for an account if the user has entered the correct password from it in the last 30 days, or has set a
 * new one with a mailed token. It is then known for the username, the e-mail address and the id. All other addresses are
 * strangers. A known address needs only the permit of its own count.
 *
 *     stranger --success--> known (30 days) --30 days without success--> stranger
 *
 * Invariants:
 * - The permit is taken before the password is compared, in a transaction over the rows of the counts. So parallel attempts,
 *   in any number of processes, get the same number of permits as sequential ones.
 * - A rejected attempt changes nothing, so waiting always helps, and other addresses cannot make a known address wait. A
 *   botnet delays strangers, never the owner at home. An owner at a new address competes with it for one permit per minute,
 *   or resets the password, which makes the new address known.
 * - A success clears the count of its address and returns its permit of the strangers' count. A count expires after 24 hours
 *   without an attempt.
 * - If no password was compared, because too many were being hashed, the permits are returned.
 * - An IPv6 address counts as its /64 network, because one subscriber owns all of it.
 *
 * So n addresses get the smaller of 109 n and 1,475 guesses on the first day (95 n and 1,440 on later days), twice that if
 * they use the username and the e-mail address in turn, and three times that with a stolen session of the user. Limit: an
 * address that tries one password on many accounts is not stopped here, but by the limit of the login route, and by the ban
 * list if it is on (docs/bans.md).
 */

import type { Database } from '../../../db/database.ts';
import { AppError } from '../../../errors.ts';
import { clientKey } from '../../../http/connection/addresses.ts';
import type { Logger } from '../../../observability/logger.ts';
import { type GuessedAccount, rememberSuccess, returnPermit, takePermit } from './store.ts';

/** The account whose password is tried, and the address of the client. */
export type PasswordAttempt = GuessedAccount & { readonly address: string };

/** An authenticated user, with every name by which an attempt can refer to it. */
export interface ProvenUser {
  readonly id: number;
  readonly email: string;
}

/** Both methods can also reject with a database AppError. */
export interface Attempts {
  /**
   * Takes a permit, then runs `compare`, which compares the password. Rejects with `rate_limited` and `Retry-After` if
   * there is no permit. If `compare` rejects with `not_ready`, it has compared nothing, and the permit is returned.
   */
  underPermit<T>(attempt: PasswordAttempt, compare: () => Promise<T>): Promise<T>;
  /** Makes the address known, after a correct password or a reset with a mailed token. */
  succeeded(user: ProvenUser, address: string): Promise<void>;
}

export interface AttemptsOptions {
  readonly database: Database;
  readonly log: Logger;
  /** By default the clock of the database, which all processes share. */
  readonly now?: () => Date;
}

export function createAttempts({ database, log, now }: AttemptsOptions): Attempts {
  return {
    async underPermit(attempt, compare) {
      await admit(attempt);
      try {
        return await compare();
      } catch (error) {
        if (error instanceof AppError && error.code === 'not_ready') {
          await database.transaction((tx) => returnPermit(tx, counted(attempt, attempt.address)));
        }
        throw error;
      }
    },

    async succeeded({ id, email }, address) {
      for (const account of [{ userId: id }, { usernameOf: id }, { login: email }]) {
        await rememberSuccess(database.sql, counted(account, address));
      }
    },
  };

  async function admit(attempt: PasswordAttempt): Promise<void> {
    await database.transaction(async (tx) => {
      const throttled = await takePermit(tx, counted(attempt, attempt.address));
      if (throttled === undefined) return;
      const wait = Math.max(1, Math.ceil(throttled.waitSeconds));
      log.warning('auth.login.throttled', {
        client_address: attempt.address,
        account_hash: throttled.accountHash,
        count: throttled.count,
        wait_seconds: wait,
      });
      // Thrown inside of the transaction, so that a permit from the other count is rolled back.
      throw new AppError(
        'rate_limited',
        `Too many attempts to sign in: try again in ${wait === 1 ? 'a second' : `${wait} seconds`}.`,
        { headers: { 'retry-after': String(wait) } },
      );
    });
  }

  function counted(account: GuessedAccount, address: string) {
    return { account, address: clientKey(address), now: now?.() };
  }
}
