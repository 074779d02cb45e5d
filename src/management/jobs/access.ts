/**
 * Who may see and do what on the pages of the jobs.
 *
 *                          port for this machine only               port that others reach
 *     no token configured  everything is shown, nothing changed     shown without what jobs hold, nothing changed
 *     token not shown      shown without what jobs hold             nothing
 *     token shown          everything                               everything
 *
 * "What jobs hold" are payloads, results, messages and stacks: personal data, often. The token comes in a header and
 * never in a cookie, so no other site can have a browser send it. What needs no token is protected by the browser's
 * own rules, and from a name that somebody has pointed at this machine by the check of the Host (allowed-hosts.ts).
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';

export interface JobsAccessOptions {
  /** Whether a token is configured. */
  readonly hasToken: boolean;
  /** Throws an AppError for a request that does not show it. */
  readonly guard: (ctx: Context) => void;
  /** Whether only this machine reaches the port. */
  readonly loopback: boolean;
}

export interface Access {
  /** Whether jobs and queues may be changed, and if not, what is missing. */
  readonly writes: 'allowed' | 'token_missing' | 'not_configured';
  /** Whether payloads, results, messages and stacks are shown. */
  readonly contents: boolean;
}

export interface JobsAccess {
  /** What a reader may see. Throws an AppError: `unauthenticated`, `rate_limited`. */
  toRead(ctx: Context): Access;
  /** Throws an AppError: `unauthenticated`, `rate_limited`, `forbidden` where no token is configured. */
  toWrite(ctx: Context): void;
}

/** Makes the rules of one port. */
export function createJobsAccess({ hasToken, guard, loopback }: JobsAccessOptions): JobsAccess {
  return {
    toRead(ctx) {
      if (!hasToken) return { writes: 'not_configured', contents: loopback };
      const shown = ctx.request.headers.authorization !== undefined;
      // A token that is shown must be right, so that whoever mistypes it learns so.
      if (shown || !loopback) guard(ctx);
      return { writes: shown ? 'allowed' : 'token_missing', contents: shown };
    },
    toWrite(ctx) {
      if (!hasToken) {
        throw new AppError(
          'forbidden',
          'These pages only show: to change jobs, set APP_MANAGEMENT_TOKEN and start the server again.',
          { layer: 'management' },
        );
      }
      guard(ctx);
    },
  };
}
