/**
 * Guesses at a password: let through a few at a time, then slower and slower, without a way for a stranger to keep the
 * owner out. Whoever compares a password asks here first.
 *
 * An account is the text that was typed as the login; nobody knows or asks whether somebody has it. Two counts belong
 * to it, and an attempt needs a permit of each that applies:
 *
 *     count of                        permits at once   then one after       at most a day of one account
 *     this account and this address   5                 1, 2, 4 ... 900 s    about 109 by one address
 *     this account and all strangers  30                1, 2, 4 ... 60 s     about 1,475 by all strangers together
 *
 * An address that the account has signed in from in the last 30 days, or has set a new password from with a mailed
 * token, is known; every other one is a stranger. A known address needs only the permit of its own count.
 *
 *     stranger --success--> known (30 days) --30 days without success--> stranger
 *
 * What holds:
 * - The permit is taken before the password is looked at, in a transaction over the rows of the counts, so that of any
 *   number of parallel attempts, in any number of processes, no more pass than one after the other would.
 * - A refused attempt changes nothing. Waiting is always enough, and nobody can make the wait of a known address
 *   longer from elsewhere: a botnet slows down strangers, never the owner at home. The owner on the road competes with
 *   it for one permit a minute, or resets the password, which makes the new address known.
 * - A success clears the count of its address and gives the strangers' permit back. A count is forgotten after 24 hours
 *   without an attempt.
 * - An IPv6 address stands for its /64 network, of which one subscriber has all.
 *
 * n addresses therefore get the smaller of 109 n and 1,475 guesses on the first day (95 n and 1,440 on later ones), and
 * twice that for an account that is named by its username and by its e-mail address in turn. What it does not do: it
 * limits no address that tries one password at many accounts; the limit of the login route does.
 */

import type { Database } from '../../db/database.ts';
import { AppError } from '../../errors.ts';
import { clientKey } from '../../http/addresses.ts';
import type { Logger } from '../../observability/logger.ts';
import { rememberSuccess, takePermit } from './store.ts';

/** Who tries: the login as it was typed, whatever its case, and the address of the client. */
export interface Attempt {
  readonly account: string;
  readonly address: string;
}

/** Both reject with the AppErrors of the database too. */
export interface Attempts {
  /** Takes a permit, before the password is compared. Rejects with `rate_limited` and `Retry-After` if it must wait. */
  admit(attempt: Attempt): Promise<void>;
  /** The password was right, or a new one was set with a mailed token: the address is known from now on. */
  succeeded(attempt: Attempt): Promise<void>;
}

export interface AttemptsOptions {
  readonly database: Database;
  readonly log: Logger;
  /** By default the database's clock, which all processes share. */
  readonly now?: () => Date;
}

export function createAttempts({ database, log, now }: AttemptsOptions): Attempts {
  return {
    async admit({ account, address }) {
      await database.transaction(async (tx) => {
        const refusal = await takePermit(tx, { account, address: clientKey(address), now: now?.() });
        if (refusal === undefined) return;
        const wait = Math.max(1, Math.ceil(refusal.waitSeconds));
        log.warning('auth.login.throttled', {
          client_address: address,
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
    },

    async succeeded({ account, address }) {
      await rememberSuccess(database.sql, { account, address: clientKey(address), now: now?.() });
    },
  };
}
