/**
 * A mailer with a circuit breaker (`resilience/circuit-breaker.ts`). While the mail server fails, it rejects mails at once, so that
 * they can wait without occupying a connection and without using up their attempts. From time to time one waiting mail is the
 * trial.
 *
 *     the server cannot be reached, or rejects us             failure
 *     the mail is sent, or the server rejects it              success: the server works
 *     an error of this process                                nothing
 */

import { type CircuitMetrics, type CircuitSet, createCircuitSet } from '../observability/circuit-set.ts';
import type { Logger } from '../observability/logger.ts';
import { type Mail, MailError, type Mailer } from './mailer.ts';

export interface GuardedMailer extends Mailer {
  /** Whether mails are rejected, or one of them is the trial. */
  isOpen(): boolean;
  /** Returns the milliseconds until the next mail may be sent; 0 if it may be sent now. */
  retryAfterMs(): number;
}

export interface MailCircuitOptions {
  readonly log: Logger;
  readonly metrics: CircuitMetrics;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** The first open time, in milliseconds. Default: 5 s. */
  readonly openMs?: number;
}

/** Creates the set for the circuit of the mail server. */
export function createMailCircuits({
  log,
  metrics,
  now = () => performance.now(),
  openMs = 5_000,
}: MailCircuitOptions): CircuitSet {
  const policy = {
    // Two failures are enough, whatever succeeded before: a mail has three attempts, and such a failure shows that the server fails.
    ...{ windowMs: 60_000, minCalls: 2, minFailures: 2, failureRate: Number.MIN_VALUE },
    // A delivery consists of several responses, each with a time limit of 15 s.
    slowCallMs: 60_000,
    ...{ openMs, maxOpenMs: 12 * openMs },
  };
  return createCircuitSet({ kind: 'mail', policy, log, metrics, now });
}

/** `onClosed` is called when mails may be sent again. */
export function guardMailer(
  mailer: Mailer,
  circuits: CircuitSet,
  onClosed: () => void = () => {},
  now: () => number = () => performance.now(),
): GuardedMailer {
  let reason = '';
  const breaker = circuits.create('smtp', {
    describe: () => ({
      reason,
      advice: 'Mails wait, and are sent when the mail server accepts one of them.',
    }),
    onChange: (state) => state === 'closed' && onClosed(),
  });

  async function send(mail: Mail): Promise<void> {
    const startedAt = now();
    const permit = breaker.admit(startedAt);
    if (permit === undefined) {
      circuits.countRejection();
      throw new MailError('The mail server failed before, and is tried again later.', {
        temporary: true,
        isServerFailure: true,
      });
    }
    try {
      await mailer.send(mail);
      breaker.report(permit, false, now() - startedAt, now());
    } catch (error) {
      if (error instanceof MailError) {
        if (error.isServerFailure) reason = error.message;
        breaker.report(permit, error.isServerFailure, now() - startedAt, now());
      } else breaker.release(permit, now());
      throw error;
    }
  }

  return {
    send,
    isOpen: () => breaker.state(now()) !== 'closed',
    retryAfterMs: () => breaker.retryAfterMs(now()),
    close: () => mailer.close(),
  };
}
