/**
 * From what a task returned or threw to how its attempt ended: plain data that a message and the table can take.
 *
 * A task that gets no connection to the database is not at fault: it is run again some seconds later, and the attempt
 * does not count, however often that happens, as long as the database is away or full (the log has each time). What
 * counts is a connection that breaks, for the task's own query may be what breaks it, and would do so for ever.
 */

import { isConnectionRefused } from '../../db/database-error.ts';
import { reasonOf } from '../../errors.ts';
import { maxJsonDepth } from '../json-text.ts';
import { InvalidPayloadError, TaskRefusal, TaskSnooze } from '../task.ts';
import { boundedJson, JsonLimitError } from './bounded-json.ts';
import type { AbortReason, AttemptError, Outcome } from './thread-messages.ts';
import { cutText, describeThrown, isInstance, maxMessage, readSafely } from './thrown.ts';

/** The most bytes that a result may have as JSON: what is larger belongs into a table of its own, or into a file. */
export const maxResultBytes = 1_048_576;

/** The most bytes that details of a refusal may have as JSON. */
export const maxDetailsBytes = 100_000;

/** How long a job waits whose task got no connection. */
const noConnectionMs = 5_000;

/** What the task returned cannot be kept as its result. */
export class InvalidResultError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidResultError';
  }
}

/** The result as JSON text, null for none. Throws an InvalidResultError. */
export function toResultJson(result: unknown): string | null {
  try {
    return boundedJson(result, maxResultBytes) ?? null;
  } catch (error) {
    if (!(error instanceof JsonLimitError)) {
      const { message } = describeThrown(error);
      throw new InvalidResultError(
        `The result is not plain JSON: return objects, arrays, texts and numbers (${message}).`,
      );
    }
    throw new InvalidResultError(
      error.limit === 'size'
        ? `The result has more than ${maxResultBytes} bytes as JSON: store it, and return its id.`
        : `The result has more than ${maxJsonDepth} arrays and objects within one another, or is a circle: return a flatter one.`,
    );
  }
}

/** How an attempt ended whose task threw `error`, which can be anything. Throws nothing. */
export function outcomeOfError(error: unknown): Outcome {
  if (isInstance(error, TaskSnooze)) return outcomeOfSnooze(error);
  if (isWithoutConnection(error)) return { kind: 'snoozed', delayMs: noConnectionMs };
  if (isInstance(error, TaskRefusal)) return failed(refusalError(error), true);
  if (isInstance(error, InvalidPayloadError)) return failed(toAttemptError('invalid_payload', error), true);
  if (isInstance(error, InvalidResultError)) return failed(toAttemptError('invalid_result', error), true);
  return failed(thrownError(error), false);
}

/** Whether a task threw that it got no connection to the database. Throws nothing. */
export function isWithoutConnection(error: unknown): boolean {
  try {
    return isConnectionRefused(error);
  } catch {
    return false;
  }
}

/** How an attempt ended that was told to: one that took too long has failed, any other is neither success nor failure. */
export function outcomeOfAbort(reason: AbortReason, timeoutMs: number): Outcome {
  if (reason !== 'timeout') return { kind: 'aborted', reason };
  const message = `The attempt took longer than its timeout of ${timeoutMs} ms.`;
  return failed({ code: 'timeout', message }, false);
}

export function failed(error: AttemptError, final: boolean): Outcome {
  return { kind: 'failed', error, final };
}

/** An error that says what was thrown, in bounded texts. */
export function toAttemptError(code: AttemptError['code'], thrown: unknown): AttemptError {
  return { code, ...describeThrown(thrown) };
}

/** What lies underneath is part of the message, which only operators read: the user is told that the task failed. */
function thrownError(thrown: unknown): AttemptError {
  const error = toAttemptError('threw', thrown);
  const isChain = isInstance(thrown, Error) && isInstance(readSafely(thrown, 'cause'), Error);
  if (!isChain && !isInstance(thrown, AggregateError)) return error;
  return { ...error, message: cutText(reasonOf(thrown), maxMessage) };
}

/** The delay is read again: a task may have changed it since the constructor looked at it. */
function outcomeOfSnooze(snooze: TaskSnooze): Outcome {
  const delayMs = readSafely(snooze, 'delayMs');
  if (typeof delayMs === 'number' && delayMs >= 0) return { kind: 'snoozed', delayMs };
  const message = 'The task wants to be run again, but its delay is no longer a number of milliseconds.';
  return failed({ code: 'threw', message }, false);
}

/** With its details as the plain data that they are as JSON. What cannot be kept of them, the message says. */
function refusalError(refusal: TaskRefusal): AttemptError {
  const error = toAttemptError('refused', refusal);
  const without = (why: string): AttemptError => ({
    ...error,
    message: `${cutText(error.message, maxMessage - 200)} (Its details are left out: ${why}.)`,
  });
  try {
    const json = boundedJson(refusal.details, maxDetailsBytes);
    return json === undefined ? error : { ...error, details: JSON.parse(json) };
  } catch (thrown) {
    if (!(thrown instanceof JsonLimitError)) return without('they are not plain JSON');
    return thrown.limit === 'size'
      ? without(`they have more than ${maxDetailsBytes} bytes as JSON`)
      : without(`they have more than ${maxJsonDepth} arrays and objects within one another`);
  }
}
