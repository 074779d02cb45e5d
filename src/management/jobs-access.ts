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
 * own rules, and from a name that somebody has pointed at this machine (DNS rebinding) by the check of the Host.
 */

import { isIPv4 } from 'node:net';
import { AppError } from '../errors.ts';
import type { Context } from '../http/context.ts';
import type { Logger } from '../observability/logger.ts';
import { requireToken } from './require-token.ts';

export interface JobsAccessOptions {
  readonly token: string;
  /** Whether only this machine reaches the port. */
  readonly loopback: boolean;
  readonly log: Logger;
}

export interface Access {
  /** Whether jobs and queues may be changed, and if not, what is missing. */
  readonly writes: 'allowed' | 'token_missing' | 'not_configured';
  /** Whether payloads, results, messages and stacks are shown. */
  readonly contents: boolean;
}

export interface JobsAccess {
  /** What a reader may see. Throws an AppError: `misdirected_request`, `unauthenticated`. */
  toRead(ctx: Context): Access;
  /** Throws an AppError: `misdirected_request`, `unauthenticated`, `forbidden` where no token is configured. */
  toWrite(ctx: Context): void;
}

/** Makes the rules of one port. */
export function createJobsAccess({ token, loopback, log }: JobsAccessOptions): JobsAccess {
  const guard = requireToken(token, log);

  function checkHost({ host }: Context): void {
    if (!loopback || namesThisMachine(host)) return;
    throw new AppError(
      'misdirected_request',
      'This port is for this machine only: open it as http://127.0.0.1 or http://localhost.',
      { layer: 'management' },
    );
  }

  return {
    toRead(ctx) {
      checkHost(ctx);
      if (token === '') return { writes: 'not_configured', contents: loopback };
      const shown = ctx.request.headers.authorization !== undefined;
      // A token that is shown must be right, so that whoever mistypes it learns so.
      if (shown || !loopback) guard(ctx);
      return { writes: shown ? 'allowed' : 'token_missing', contents: shown };
    },
    toWrite(ctx) {
      checkHost(ctx);
      if (token === '') {
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

/** Whether a Host is a name or an address of this machine to itself, with any port. */
function namesThisMachine(host: string): boolean {
  const name = host.replace(/:\d{1,5}$/, '');
  return name === 'localhost' || name === '[::1]' || (isIPv4(name) && name.startsWith('127.'));
}
