/**
 * From what a task returned or threw to how its attempt ended: plain data that a message and the table can take.
 *
 * A task that gets no connection to the database is not at fault: it is run again some seconds later, and the attempt
 * does not count, however often that happens, as long as the database is away or full (the log has each time). What
 * counts is a connection that breaks, for the task's own query may be what breaks it, and would do so for ever.
 */

import { isConnectionRefused } from '../db/database-error.ts';
import { isTooDeep, maxJsonDepth } from './json-text.ts';
import { InvalidPayloadError, JobLostError, TaskRefusal, TaskSnooze } from './task.ts';
import type { AbortReason, Fault, Outcome } from './thread-messages.ts';

/** The most bytes that a result may have as JSON: what is larger belongs into a table of its own, or into a file. */
export const maxResultBytes = 1_048_576;

/** The stack of what was thrown, with those of its causes, is cut to this length. */
const maxStack = 10_000;
const maxCauses = 5;

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
  let json: string | undefined;
  try {
    json = JSON.stringify(result);
  } catch (cause) {
    throw new InvalidResultError(
      `The result is not plain JSON: return objects, arrays, texts and numbers (${messageOf(cause)}).`,
    );
  }
  if (json === undefined) return null;
  const bytes = Buffer.byteLength(json);
  if (bytes > maxResultBytes) {
    throw new InvalidResultError(
      `The result has ${bytes} bytes as JSON, and at most ${maxResultBytes} are kept: store it, and return its id.`,
    );
  }
  if (isTooDeep(json)) {
    throw new InvalidResultError(
      `The result has more than ${maxJsonDepth} arrays and objects within one another: return a flatter one.`,
    );
  }
  return json;
}

/** How an attempt ended whose task threw `error`. */
export function outcomeOfError(error: unknown): Outcome {
  if (error instanceof TaskSnooze) return { kind: 'snoozed', delayMs: error.delayMs };
  if (isConnectionRefused(error)) return { kind: 'snoozed', delayMs: noConnectionMs };
  if (error instanceof JobLostError) return { kind: 'aborted', reason: 'lost' };
  if (error instanceof TaskRefusal)
    return failed({ ...faultOf('refused', error), ...detailsOf(error) }, true);
  if (error instanceof InvalidPayloadError) return failed(faultOf('invalid_payload', error), true);
  if (error instanceof InvalidResultError) return failed(faultOf('invalid_result', error), true);
  return failed(faultOf('threw', error), false);
}

/** How an attempt ended that was told to: one that took too long has failed, any other is neither success nor failure. */
export function outcomeOfAbort(reason: AbortReason, timeoutMs: number): Outcome {
  if (reason !== 'timeout') return { kind: 'aborted', reason };
  const message = `The attempt took longer than its timeout of ${timeoutMs} ms.`;
  return failed({ code: 'timeout', message }, false);
}

export function failed(fault: Fault, final: boolean): Outcome {
  return { kind: 'failed', fault, final };
}

/** A fault that says what was thrown. Anything can be: also what is no Error, and what cannot be read. */
export function faultOf(code: Fault['code'], error: unknown): Fault {
  const stack = stackOf(error);
  return { code, message: messageOf(error), ...(stack !== '' && { stack: stack.slice(0, maxStack) }) };
}

function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message || error.name : `Thrown was: ${String(error)}`;
  } catch {
    return 'Something was thrown that cannot be read.';
  }
}

/** The stacks of an error and of its causes, one below the other; empty if it is no Error. */
function stackOf(error: unknown): string {
  const stacks: string[] = [];
  for (let each = error; each instanceof Error && stacks.length <= maxCauses; each = each.cause) {
    if (typeof each.stack === 'string') stacks.push(each.stack);
  }
  return stacks.join('\nCaused by: ');
}

/** Details as the plain data that they are as JSON; left out if they are not, or are nested too deeply. */
function detailsOf({ details }: TaskRefusal): Pick<Fault, 'details'> {
  try {
    const json = JSON.stringify(details);
    return json === undefined || isTooDeep(json) ? {} : { details: JSON.parse(json) };
  } catch {
    return {};
  }
}
