/**
 * Stores the reply of a handler in the same transaction as its effect, so that a repeated request gets the same reply and is
 * not carried out twice. This file knows neither where replies are stored nor what a transaction is:
 *
 *     layer `idempotency`   sets ctx.recorder if the client has sent an `Idempotency-Key`
 *     dispatch              makes `recordReply` of it for the handler
 *     handler               passes the result of `recordReply` to its service
 *     service               calls it as the last statement of its transaction
 *
 *     const reply = (user: User) => created(user, `/users/${user.id}`);
 *     return reply(await users.register(body, recordReply(reply)));
 */

import type { FinishedReply } from './reply.ts';

/** Stores the reply of one request. */
export interface ReplyRecorder {
  /** Stores the reply as part of the transaction. Rejects if the reply must not be stored. */
  record(transaction: unknown, reply: FinishedReply): Promise<void>;
  /** The stored reply: exactly this one is sent. */
  readonly recorded: FinishedReply | undefined;
}

/** Called by a service within its transaction, with the value from which the reply is made. */
export type ReplyRecording<Value> = (transaction: unknown, value: Value) => Promise<void>;

/** Returns a function that stores `toReply(value)`; undefined if the client has not asked for it. */
export type RecordReply = <Value>(toReply: (value: Value) => unknown) => ReplyRecording<Value> | undefined;

/** Creates the `recordReply` of a request. `finish` serialises what a handler returns. */
export function createRecordReply(
  recorder: ReplyRecorder | undefined,
  finish: (returned: unknown) => FinishedReply,
): RecordReply {
  if (recorder === undefined) return notRequested;
  return (toReply) => (transaction, value) => recorder.record(transaction, finish(toReply(value)));
}

const notRequested: RecordReply = () => undefined;
