/**
 * Converts the return value or the error of a task to an outcome: plain data that fits into a message and the table.
 *
 * A task that gets no connection to the database is not at fault. It runs again some seconds later, and the attempt
 * does not count, as long as the database is unreachable or full; each time is logged. A connection that breaks does
 * count, because the query of the task may be what breaks it, and would break it every time.
 */

import { isConnectFailure } from '../../db/database-error.ts';
import { reasonOf } from '../../errors.ts';
import { maxJsonDepth } from '../json-text.ts';
import { InvalidPayloadError, TaskRejection, TaskSnooze } from '../task.ts';
import { boundedJson, JsonLimitError } from './bounded-json.ts';
import type { AbortReason, AttemptError, Outcome } from './thread-messages.ts';
import { describeThrown, isInstance, maxMessage, readSafely, truncateText } from './thrown.ts';

/** Maximum size of a result as JSON, in bytes. A larger one belongs in a table of its own or in a file. */
export const maxResultBytes = 1_048_576;

/** Maximum size of the details of a rejection as JSON, in bytes. */
export const maxDetailsBytes = 100_000;

/** The delay before a job runs again if its task got no connection to the database. */
const noConnectionMs = 5_000;

/** The return value of the task cannot be stored as its result. */
export class InvalidResultError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidResultError';
  }
}

/** Returns the result as JSON text; null if there is none. Throws an InvalidResultError. */
export function toResultJson(result: unknown): string | null {
  try {
    return boundedJson(result, maxResultBytes) ?? null;
  } catch (error) {
    if (!(error instanceof JsonLimitError)) {
      const { message } = describeThrown(error);
      throw new InvalidResultError(
        `The result is not plain JSON: return objects, arrays, strings and numbers (${message}).`,
      );
    }
    throw new InvalidResultError(
      error.limit === 'size'
        ? `The result has more than ${maxResultBytes} bytes as JSON: store the data elsewhere and return its id.`
        : `The result nests more than ${maxJsonDepth} arrays and objects, or has a circular reference: return a flatter one.`,
    );
  }
}

/** Returns the outcome of a task that threw `error`, which can be any value. Never throws. */
export function outcomeOfError(error: unknown): Outcome {
  if (isInstance(error, TaskSnooze)) return outcomeOfSnooze(error);
  if (isWithoutConnection(error)) return { kind: 'snoozed', delayMs: noConnectionMs };
  if (isInstance(error, TaskRejection)) return failed(rejectionError(error), true);
  if (isInstance(error, InvalidPayloadError)) return failed(toAttemptError('invalid_payload', error), true);
  if (isInstance(error, InvalidResultError)) return failed(toAttemptError('invalid_result', error), true);
  return failed(thrownError(error), false);
}

/** Returns whether a task threw because it got no connection to the database. Never throws. */
export function isWithoutConnection(error: unknown): boolean {
  try {
    return isConnectFailure(error);
  } catch {
    return false;
  }
}

/**
 * Returns the outcome of an aborted attempt: a timeout is a failure, any other reason is neither success nor failure.
 */
export function outcomeOfAbort(reason: AbortReason, timeoutMs: number): Outcome {
  if (reason !== 'timeout') return { kind: 'aborted', reason };
  const message = `The attempt took longer than its timeout of ${timeoutMs} ms.`;
  return failed({ code: 'timeout', message }, false);
}

export function failed(error: AttemptError, final: boolean): Outcome {
  return { kind: 'failed', error, final };
}

/** Describes the thrown value in strings of bounded length. */
export function toAttemptError(code: AttemptError['code'], thrown: unknown): AttemptError {
  return { code, ...describeThrown(thrown) };
}

/** Adds the causes to the message, which only operators see. Users only see that the task failed. */
function thrownError(thrown: unknown): AttemptError {
  const error = toAttemptError('threw', thrown);
  const isChain = isInstance(thrown, Error) && isInstance(readSafely(thrown, 'cause'), Error);
  if (!isChain && !isInstance(thrown, AggregateError)) return error;
  return { ...error, message: truncateText(reasonOf(thrown), maxMessage) };
}

/** Checks the delay again, because a task may have changed it after the constructor checked it. */
function outcomeOfSnooze(snooze: TaskSnooze): Outcome {
  const delayMs = readSafely(snooze, 'delayMs');
  if (typeof delayMs === 'number' && delayMs >= 0) return { kind: 'snoozed', delayMs };
  const message = 'The task asked to run later, but its delay is not a number of milliseconds.';
  return failed({ code: 'threw', message }, false);
}

/** Keeps the details as plain JSON. If they cannot be kept, the message has the reason. */
function rejectionError(rejection: TaskRejection): AttemptError {
  const error = toAttemptError('refused', rejection);
  const without = (why: string): AttemptError => ({
    ...error,
    message: `${truncateText(error.message, maxMessage - 200)} (Its details are left out: ${why}.)`,
  });
  try {
    const json = boundedJson(rejection.details, maxDetailsBytes);
    return json === undefined ? error : { ...error, details: JSON.parse(json) };
  } catch (thrown) {
    if (!(thrown instanceof JsonLimitError)) return without('they are not plain JSON');
    return thrown.limit === 'size'
      ? without(`they have more than ${maxDetailsBytes} bytes as JSON`)
      : without(`they nest more than ${maxJsonDepth} arrays and objects`);
  }
}
