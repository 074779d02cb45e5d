/**
 * The access rules of the jobs dashboard.
 *
 *                            port reachable from this machine only    port reachable from others
 *     no token configured    read with contents, no changes           read without contents, no changes
 *     token of a local       without it read with contents,           (there is none)
 *     server                 with it everything
 *     request without token  read without contents                    nothing
 *     request with token     everything                               everything
 *
 * The contents of jobs are payloads, results, messages and stacks, which often are personal data. The token is sent in a
 * header and never in a cookie, so no other site can make a browser send it. Routes without a token are protected by the
 * same-origin policy of the browser, and by the check of the Host against DNS rebinding (../allowed-hosts.ts).
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';

export interface JobsAccessOptions {
  /** Which token allows changes: that of the settings, or the one that a local server has created. */
  readonly token: 'configured' | 'local' | 'none';
  /** Throws an AppError for a request without it. */
  readonly guard: (ctx: Context) => void;
  /** Whether only this machine reaches the port. */
  readonly loopback: boolean;
}

export interface Access {
  /** Whether jobs and queues may be changed, and if not, the reason. */
  readonly writes: 'allowed' | 'token_missing' | 'not_configured';
  /** Whether payloads, results, messages and stacks are shown. */
  readonly contents: boolean;
}

export interface JobsAccess {
  /** Returns what the client may see. Throws an AppError: `unauthenticated`, `rate_limited`. */
  toRead(ctx: Context): Access;
  /** Throws an AppError: `unauthenticated`, `rate_limited`, `forbidden` if no token is configured. */
  toWrite(ctx: Context): void;
}

/** Creates the rules of a port. */
export function createJobsAccess({ token, guard, loopback }: JobsAccessOptions): JobsAccess {
  return {
    toRead(ctx) {
      if (token === 'none') return { writes: 'not_configured', contents: loopback };
      const hasSentToken = ctx.request.headers.authorization !== undefined;
      // A token that is sent is always checked, so that a typing error is reported.
      if (hasSentToken || !loopback) guard(ctx);
      if (hasSentToken) return { writes: 'allowed', contents: true };
      return { writes: 'token_missing', contents: token === 'local' };
    },
    toWrite(ctx) {
      if (token === 'none') {
        throw new AppError(
          'forbidden',
          'These pages are read-only. To change jobs, set APP_MANAGEMENT_TOKEN and restart the server.',
          { layer: 'management' },
        );
      }
      guard(ctx);
    },
  };
}
