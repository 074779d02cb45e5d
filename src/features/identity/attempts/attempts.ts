/**
 * Guesses at a password: let through a few at a time, then slower and slower, without a way for a stranger to keep the
 * owner out. Whoever compares a password does it under a permit from here.
 *
 * An account is the text that was typed as the login, whether somebody has it or not; but a username that somebody has
 * stands for its user, whatever the next name is, since whoever has stolen a session can choose that. Where somebody who
 * is signed in shows the password again, the account is the user under another number: guesses at logins, which are open
 * to everybody, do not slow the owner down there. Two counts belong to an account, and an attempt needs a permit of each
 * that applies:
 *
 *     count of                        permits at once   then one after       at most a day of one account
 *     this account and this address   5                 1, 2, 4 ... 900 s    about 109 by one address
 *     this account and all strangers  30                1, 2, 4 ... 60 s     about 1,475 by all strangers together
 *
 * An address from which the user has shown the password in the last 30 days, or has set a new one with a mailed token,
 * is known by the username, the e-mail address and the id; every other one is a stranger. A known address needs only the
 * permit of its own count.
 *
 *     stranger --success--> known (30 days) --30 days without success--> stranger
 *
 * What holds:
 * - The permit is taken before the password is looked at, in a transaction over the rows of the counts, so that of any
 *   number of parallel attempts, in any number of processes, no more pass than one after the other would.
 * - A refused attempt changes nothing. Waiting is always enough, and nobody can make the wait of a known address
 *   longer from elsewhere: a botnet slows down strangers, never the owner at home. The owner on the road competes with
 *   it for one permit a minute, or resets the password, which makes the new address known.
 * - A success clears the counts of its address and gives a permit back that it had of the strangers. A count is
 *   forgotten after 24 hours without an attempt.
 * - Where no password was compared, because too many were being worked on, the permits go back.
 * - An IPv6 address stands for its /64 network, of which one subscriber has all.
 *
 * n addresses therefore get the smaller of 109 n and 1,475 guesses on the first day (95 n and 1,440 on later ones),
 * twice that for a user who is named by username and by e-mail address in turn, and three times that for one whose
 * session they have stolen. What it does not do: it limits no address that tries one password at many accounts; the limit
 * of the login route does.
 */

import type { Database } from '../../../db/database.ts';
import { AppError } from '../../../errors.ts';
import { clientKey } from '../../../http/addresses.ts';
import type { Logger } from '../../../observability/logger.ts';
import { type Account, rememberSuccess, returnPermit, takePermit } from './store.ts';

/** Whose password is tried, and the address of the client. */
export type Attempt = Account & { readonly address: string };

/** Whoever has shown to be this user, with all that an attempt can name the user by. */
export interface ProvenUser {
  readonly id: number;
  readonly email: string;
}

/** Both reject with the AppErrors of the database too. */
export interface Attempts {
  /**
   * Takes a permit, then runs `compare`, which compares the password. Rejects with `rate_limited` and `Retry-After` if
   * it must wait. A `compare` that rejects with `not_ready` has compared nothing: the permit goes back.
   */
  underPermit<T>(attempt: Attempt, compare: () => Promise<T>): Promise<T>;
  /** The password was right, or a new one was set with a mailed token: the address is known from now on. */
  succeeded(user: ProvenUser, address: string): Promise<void>;
}

export interface AttemptsOptions {
  readonly database: Database;
  readonly log: Logger;
  /** By default the database's clock, which all processes share. */
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

  async function admit(attempt: Attempt): Promise<void> {
    await database.transaction(async (tx) => {
      const refusal = await takePermit(tx, counted(attempt, attempt.address));
      if (refusal === undefined) return;
      const wait = Math.max(1, Math.ceil(refusal.waitSeconds));
      log.warning('auth.login.throttled', {
        client_address: attempt.address,
        account_hash: refusal.accountHash,
        count: refusal.count,
        wait_seconds: wait,
      });
      // Thrown inside, so that the permit of the one count goes back when the other refuses.
      throw new AppError(
        'rate_limited',
        `There were too many attempts to sign in: try again in ${wait === 1 ? 'a second' : `${wait} seconds`}.`,
        { headers: { 'retry-after': String(wait) } },
      );
    });
  }

  function counted(account: Account, address: string) {
    return { account, address: clientKey(address), now: now?.() };
  }
}
