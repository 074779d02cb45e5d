/**
 * Alert messages that this process sends itself, from memory: while the database is away, without one, and for jobs that no
 * runner claims. In all other cases jobs deliver them.
 *
 *     waiting ──> sending ──> delivered
 *        ^  │        │
 *        │  │        ├──> dropped, after the last attempt or for a URL that is never called: `alert.undelivered`
 *        │  │        │
 *        └──┼─ pause ┘
 *           └──> taken: the database is back, and a job delivers the message
 *
 * Messages are sent one after the other, in their order. They are lost if the process exits.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { AppError, reasonOf } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { type Backoff, backoffDelay } from '../resilience/retry.ts';
import type { AlertMessage } from './alert-message.ts';
import type { Webhook } from './webhook.ts';

export interface Outbox {
  /** Adds messages, which are sent in the background. */
  push(messages: readonly AlertMessage[]): void;
  /** Adds messages that no runner of jobs has claimed. They are never taken, because the next job would not be claimed either. */
  pushUnclaimed(messages: readonly AlertMessage[]): void;
  /** Removes the waiting messages and returns them, so that jobs deliver them; none while one is being sent. */
  take(): readonly AlertMessage[];
  /** Ends the attempt in progress and drops all messages. Idempotent. */
  stop(): Promise<void>;
}

export interface OutboxOptions {
  readonly webhook: Webhook;
  readonly log: Logger;
  readonly backoff?: Backoff;
}

interface Waiting {
  readonly message: AlertMessage;
  readonly isUnclaimed: boolean;
}

const defaultBackoff: Backoff = { baseMs: 1_000, maxMs: 60_000 };
/** About a quarter of an hour with the default pauses. */
const maxAttempts = 30;

export function createOutbox({ webhook, log, backoff = defaultBackoff }: OutboxOptions): Outbox {
  const stopping = new AbortController();
  let waiting: Waiting[] = [];
  let isSending = false;
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    for (let attempt = 1; ; ) {
      const [first] = waiting;
      if (first === undefined || stopping.signal.aborted) return;
      isSending = true;
      const { message } = first;
      const error = await send(message);
      isSending = false;
      if (stopping.signal.aborted) return;
      const isLast =
        attempt >= maxAttempts || (error instanceof AppError && error.code === 'outgoing_refused');
      if (error !== undefined && !isLast) {
        await delay(backoffDelay(attempt, backoff, Math.random), undefined, {
          signal: stopping.signal,
        }).catch(() => {});
        // A message that was taken during the pause starts the attempts of the next one.
        attempt = waiting[0] === first ? attempt + 1 : 1;
        continue;
      }
      if (error !== undefined) {
        const { event, rule, id } = message;
        log.error('alert.undelivered', {
          message: id,
          change: event,
          rule,
          attempts: attempt,
          reason: reasonOf(error),
        });
      }
      waiting.shift();
      attempt = 1;
    }
  }

  /** Resolves with the error of a failed attempt. */
  async function send(message: AlertMessage): Promise<unknown> {
    try {
      await webhook.send(message, stopping.signal);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  function add(messages: readonly AlertMessage[], isUnclaimed: boolean): void {
    if (messages.length === 0 || stopping.signal.aborted) return;
    waiting.push(...messages.map((message) => ({ message, isUnclaimed })));
    running ??= run().finally(() => {
      running = undefined;
    });
  }

  return {
    push: (messages) => add(messages, false),
    pushUnclaimed: (messages) => add(messages, true),
    take() {
      if (isSending) return [];
      const taken = waiting.filter(({ isUnclaimed }) => !isUnclaimed);
      waiting = waiting.filter(({ isUnclaimed }) => isUnclaimed);
      return taken.map(({ message }) => message);
    },
    async stop() {
      stopping.abort(new Error('The program is stopping.'));
      await running;
    },
  };
}
