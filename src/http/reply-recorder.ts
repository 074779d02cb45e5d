/**
 * How a handler has its answer kept together with its effect, so that the same request sent again gets that answer and
 * is not done twice. This side knows neither where answers are kept nor what a transaction is: a layer puts a recorder
 * into the context when the client has sent an `Idempotency-Key`, the dispatcher makes `recordReply` of it, and the handler
 * hands what `recordReply` returns to its service, which calls it as the last thing in its transaction.
 *
 *     const reply = (user: User) => created(user, `/users/${user.id}`);
 *     return reply(await users.register(body, recordReply(reply)));
 */

import type { Context, Payload } from './context.ts';

/** An answer made ready: serialised, with the handler's header fields and its content type. */
export interface FinishedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Payload;
}

/** Keeps the answer of one request. */
export interface ReplyRecorder {
  /** Keeps the answer if the transaction commits. Rejects when it must not. */
  record(transaction: unknown, reply: FinishedReply): Promise<void>;
  /** What was kept: this and nothing else is sent. */
  readonly recorded: FinishedReply | undefined;
}

/** What a service calls in its transaction, with the value that the answer is made of. */
export type ReplyRecording<Value> = (transaction: unknown, value: Value) => Promise<void>;

/** Makes what keeps the answer that `answer` gives for a value. Undefined when the client has not asked for it. */
export type RecordReply = <Value>(toReply: (value: Value) => unknown) => ReplyRecording<Value> | undefined;

/** The `recordReply` of a request. `finish` makes a handler's answer ready. */
export function createRecordReply(
  { recorder }: Context,
  finish: (returned: unknown) => FinishedReply,
): RecordReply {
  if (recorder === undefined) return notAsked;
  return (toReply) => (transaction, value) => recorder.record(transaction, finish(toReply(value)));
}

const notAsked: RecordReply = () => undefined;
