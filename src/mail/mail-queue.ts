/**
 * The way of a mail in the background: whoever posts it does not wait, and the end of a request does not end it.
 *
 *     posted ──> waiting ──> sending ──> delivered
 *        │          ▲           │
 *        │          └─ deferred ┤  a temporary failure, at most twice
 *        ▼                      ▼
 *      failed                 failed    logged as an error, without the text
 *   (queue full,            (refused for good, or the third try)
 *    or stopping)
 *
 * Mails wait in two lanes, so that mails which anybody can cause do not delay or displace the others:
 *
 *     account        to whoever has an account: a token to set a new password, news of a change
 *     unconfirmed    to an address that somebody typed and nobody has confirmed yet
 *
 * Invariants: at most `concurrency` mails are being sent, and at most all but one of them unconfirmed ones; at most
 * `capacity` of the account lane are held and half as many unconfirmed ones, in whatever state; of one recipient a
 * twentieth of that; in a lane the recipients take semaphore. Each mail that was posted ends in one line, `mail.delivered` by
 * the mailer or `mail.failed` here. A deferred mail takes no turn.
 * Stopping takes no new mail, gives deferred ones their next try at once, and fails what is left when the time is up;
 * what was being sent just then may arrive all the same.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import type { Logger } from '../observability/logger.ts';
import { runBeyondRequest } from '../observability/request-context.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import { type Mail, MailError, type Mailer } from './mailer.ts';

export type MailLane = 'account' | 'unconfirmed';

export interface MailQueue {
  /** Whether mail can be sent at all. Who cannot do without asks first, and throws `mail_disabled`. */
  readonly enabled: boolean;
  /** Takes a mail, to be sent soon. Never throws; if mail is not enabled, nothing happens. */
  post(mail: Mail, lane?: MailLane): void;
  /** Sends what it can within `graceMs` milliseconds, then closes the mailer. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

export interface MailQueueOptions {
  readonly mailer: Mailer;
  readonly log: Logger;
  /** How many mails are being sent at a time. */
  readonly concurrency?: number;
  /** How many mails of the account lane are held at most; the text of one is a few hundred bytes. */
  readonly capacity?: number;
  readonly backoff?: Backoff;
}

/** Where there is no way for mail to leave. */
export const noMail: MailQueue = { enabled: false, post() {}, async stop() {} };

const maxAttempts = 3;

/** Of one recipient this many can be held, whatever the capacity. */
const minPerRecipient = 10;

export function createMailQueue({
  mailer,
  log,
  concurrency = 4,
  capacity = 1000,
  backoff = { baseMs: 5_000, maxMs: 60_000 },
}: MailQueueOptions): MailQueue {
  const capacities: Readonly<Record<MailLane, number>> = {
    account: capacity,
    unconfirmed: Math.ceil(capacity / 2),
  };
  const held = new Map<Mail, { readonly lane: MailLane; readonly delivery: Promise<void> }>();
  // Who may wait was decided when the mail was posted: one that is tried again must find its place.
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
  let stopped: Promise<void> | undefined;
  let abandoned = false;

  /** Resolves when the mail has ended, in one way or the other. */
  async function deliver(mail: Mail, lane: MailLane): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await semaphore.run({ lane, source: mail.to }, async () => {
          if (!abandoned) await mailer.send(mail);
        });
      } catch (error) {
        if (abandoned) return;
        const temporary = !(error instanceof MailError) || error.temporary;
        if (!temporary || attempt === maxAttempts) return fail(mail, reasonOf(error));
        log.warning('mail.deferred', { email: mail.to, reason: reasonOf(error), attempt });
        await pause(backoffDelay(attempt, backoff, Math.random));
      }
    }
  }

  /** Whether no further mail of the lane can be held; with a recipient, none to this one. */
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
    const deliveries = Promise.all(Array.from(held.values(), ({ delivery }) => delivery));
    await withTimeout(deliveries, graceMs, () => {});
    abandoned = true;
    for (const mail of held.keys()) fail(mail, 'The process ended before the mail was sent.');
    await mailer.close();
  }

  return {
    enabled: true,
    post(mail, lane = 'account') {
      if (stopping.signal.aborted) return fail(mail, 'The process is about to end.');
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

/** What a MailError says is made for the log; of any other error, only the kind is safe to tell. */
function reasonOf(error: unknown): string {
  if (error instanceof MailError) return error.message;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'The mailer failed.';
}
