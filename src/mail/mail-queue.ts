/**
 * Sends mails in the background: a caller does not wait for the mail it posts, and the end of a request does not cancel
 * the delivery.
 *
 *     posted ──> waiting ──> sending ──> delivered
 *        │          ▲           │
 *        │          └─ deferred ┤  a temporary failure, at most twice
 *        ▼                      ▼
 *      failed                 failed    logged as an error, without the text
 *   (queue full,            (permanent failure, or third attempt)
 *    or stopping)
 *
 * While the mail server itself fails, its circuit is open (`guarded-mailer.ts`): mails wait for up to an hour, which is how long the
 * token in a mail is valid. An attempt that failed with the server does not count then. Waiting mails take turns as the trial, and
 * all of them are sent when one is delivered.
 *
 * Mails wait in two lanes, so that mails that anonymous callers can cause neither delay nor displace the others:
 *
 *     account        to the owner of an account: a token to set a new password, notices about changes
 *     unconfirmed    to an address that was entered but never confirmed
 *
 * Invariants:
 * - At most `concurrency` mails are being sent, and at most `concurrency - 1` of them are unconfirmed.
 * - At most `capacity` mails of the account lane are held, in any state, and half as many unconfirmed ones. Of one recipient,
 *   at most a twentieth of that. In a lane, the recipients take turns. A deferred mail occupies no sending slot.
 * - Each posted mail ends with exactly one log line: `mail.delivered` from the mailer, or `mail.failed` from here.
 *
 * A stopping queue accepts no new mails, retries deferred mails immediately, and fails the mails that are left when the
 * time is up. A mail that is being sent at that moment may still arrive.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { systemErrorCode } from '../errors.ts';
import { type CircuitSet, createCircuitMetrics } from '../observability/circuit-set.ts';
import type { Logger } from '../observability/logger.ts';
import { createMetrics } from '../observability/metrics/metrics.ts';
import { runBeyondRequest } from '../observability/request-context.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import { createMailCircuits, guardMailer } from './guarded-mailer.ts';
import { type Mail, MailError, type Mailer } from './mailer.ts';

export type MailLane = 'account' | 'unconfirmed';

export interface MailQueue {
  /** Whether mail can be sent at all. A caller that depends on mail checks this first and throws `mail_disabled`. */
  readonly enabled: boolean;
  /** Queues a mail. Never throws; does nothing if mail is not enabled. */
  post(mail: Mail, lane?: MailLane): void;
  /** Sends as many mails as it can within `graceMs` milliseconds, then closes the mailer. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

export interface MailQueueOptions {
  readonly mailer: Mailer;
  readonly log: Logger;
  /** How many mails are sent at a time. */
  readonly concurrency?: number;
  /** Maximum number of mails held for the account lane; the text of one has a few hundred bytes. */
  readonly capacity?: number;
  readonly backoff?: Backoff;
  /** The set for the circuit of the mail server. Default: one that nothing reads. */
  readonly circuits?: CircuitSet;
  /** How long a mail waits for a mail server that fails, in milliseconds. Default: an hour. */
  readonly maxHeldMs?: number;
}

/** The queue of a program without a mail transport. */
export const noMail: MailQueue = { enabled: false, post() {}, async stop() {} };

const maxAttempts = 3;

/** The minimum time between two turns: a mail that is rejected because of a running trial waits again. */
const minTurnMs = 20;

/** At least so many mails of one recipient fit into the queue, also if its capacity is small. */
const minPerRecipient = 10;

export function createMailQueue({
  mailer,
  log,
  concurrency = 4,
  capacity = 1000,
  backoff = { baseMs: 5_000, maxMs: 60_000 },
  circuits = createMailCircuits({ log, metrics: createCircuitMetrics(createMetrics()) }),
  maxHeldMs = 3_600_000,
}: MailQueueOptions): MailQueue {
  const capacities: Readonly<Record<MailLane, number>> = {
    account: capacity,
    unconfirmed: Math.ceil(capacity / 2),
  };
  const held = new Map<Mail, { readonly lane: MailLane; readonly delivery: Promise<void> }>();
  // `post` limits the number of waiting mails. The semaphore has no limit, so that a retried mail is never rejected.
  const semaphore = createSemaphore<MailLane>({
    concurrency,
    lanes: {
      account: { maxRunning: concurrency, maxWaiting: Number.POSITIVE_INFINITY, weight: 3 },
      unconfirmed: {
        maxRunning: Math.max(1, concurrency - 1),
        maxWaiting: Number.POSITIVE_INFINITY,
        weight: 1,
      },
    },
    createFullError: () => new RangeError('A lane without a limit is full.'),
  });
  const stopping = new AbortController();
  const turns = createTurns();
  const guarded = guardMailer(mailer, circuits, turns.all);
  let stopped: Promise<void> | undefined;
  let abandoned = false;

  /** Resolves when the mail was delivered or has failed. */
  async function deliver(mail: Mail, lane: MailLane): Promise<void> {
    const postedAt = performance.now();
    let attempt = 1;
    for (;;) {
      try {
        return await semaphore.run({ lane, source: mail.to }, async () => {
          // A stopping queue has no time to wait for a trial.
          if (!abandoned) await (stopping.signal.aborted ? mailer : guarded).send(mail);
        });
      } catch (error) {
        if (abandoned) return;
        if (isServerAway(error)) {
          if (performance.now() - postedAt > maxHeldMs) return fail(mail, reasonOf(error));
          await turns.next(guarded.retryAfterMs());
          continue;
        }
        const temporary = !(error instanceof MailError) || error.temporary;
        if (!temporary || attempt === maxAttempts) return fail(mail, reasonOf(error));
        log.warning('mail.deferred', { email: mail.to, reason: reasonOf(error), attempt });
        await pause(backoffDelay(attempt, backoff, Math.random));
        attempt += 1;
      }
    }
  }

  /** Whether the mail has to wait for the mail server. */
  function isServerAway(error: unknown): boolean {
    const isServerFailure = error instanceof MailError && error.isServerFailure;
    return isServerFailure && guarded.isOpen() && !stopping.signal.aborted;
  }

  /** Whether the lane is full; with a recipient, whether its share of the lane is. */
  function isFull(lane: MailLane, recipient?: string): boolean {
    const max =
      recipient === undefined
        ? capacities[lane]
        : Math.max(minPerRecipient, Math.ceil(capacities[lane] / 20));
    let count = 0;
    for (const [mail, { lane: each }] of held) {
      if (each === lane && (recipient === undefined || mail.to === recipient)) count += 1;
    }
    return count >= max;
  }

  function fail(mail: Mail, reason: string): void {
    log.error('mail.failed', { email: mail.to, reason });
  }

  async function pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: stopping.signal }).catch(() => {});
  }

  async function stop(graceMs: number): Promise<void> {
    stopping.abort();
    turns.all();
    const deliveries = Promise.all(Array.from(held.values(), ({ delivery }) => delivery));
    await withTimeout(deliveries, graceMs, () => {});
    abandoned = true;
    for (const mail of held.keys()) fail(mail, 'The process stopped before the mail was sent.');
    await mailer.close();
  }

  return {
    enabled: true,
    post(mail, lane = 'account') {
      if (stopping.signal.aborted) return fail(mail, 'The process is stopping.');
      if (isFull(lane)) return fail(mail, 'Too many mails are waiting.');
      if (isFull(lane, mail.to)) return fail(mail, 'Too many mails to this recipient are waiting.');
      const copy = { ...mail };
      const delivery = runBeyondRequest(() => deliver(copy, lane)).finally(() => held.delete(copy));
      held.set(copy, { lane, delivery });
    },
    stop(graceMs) {
      stopped ??= stop(graceMs);
      return stopped;
    },
  };
}

/** Mails that wait for the mail server. One after the other has its turn, until all have. */
function createTurns() {
  let waiting: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;

  /** The earliest time counts: a mail that is rejected while the trial runs does not know yet when that ends. */
  function schedule(ms: number): void {
    const at = performance.now() + ms;
    if (at >= dueAt) return;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(() => {
      dueAt = Number.POSITIVE_INFINITY;
      waiting.shift()?.();
      if (waiting.length > 0) schedule(ms);
    }, ms);
  }

  return {
    /** Resolves when it is the turn of the caller, which is `ms` after the last turn or later. */
    next(ms: number): Promise<void> {
      return new Promise((resolve) => {
        waiting.push(resolve);
        schedule(Math.max(ms, minTurnMs));
      });
    },
    all(): void {
      const all = waiting;
      waiting = [];
      clearTimeout(timer);
      dueAt = Number.POSITIVE_INFINITY;
      for (const resolve of all) resolve();
    },
  };
}

/** The message of a MailError is safe to log; of any other error, only its code is. */
function reasonOf(error: unknown): string {
  if (error instanceof MailError) return error.message;
  return systemErrorCode(error) ?? 'The mailer failed.';
}
