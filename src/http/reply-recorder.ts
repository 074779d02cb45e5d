/**
 * How a handler has its answer kept together with its effect, so that the same request sent again gets that answer and
 * is not done twice. This side knows neither where answers are kept nor what a transaction is: a layer puts a recorder
 * into the context when the client has sent an `Idempotency-Key`, the dispatcher makes `once` of it, and the handler
 * hands what `once` returns to its service, which calls it as the last thing in its transaction.
 *
 *     const answer = (user: User) => created(user, `/users/${user.id}`);
 *     return answer(await users.register(body, once(answer)));
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
export type KeepAnswer<Value> = (transaction: unknown, value: Value) => Promise<void>;

/** Makes what keeps the answer that `answer` gives for a value. Undefined when the client has not asked for it. */
export type Once = <Value>(answer: (value: Value) => unknown) => KeepAnswer<Value> | undefined;

/** The `once` of a request. `finish` makes a handler's answer ready. */
export function createOnce({ recorder }: Context, finish: (returned: unknown) => FinishedReply): Once {
  if (recorder === undefined) return notAsked;
  return (answer) => (transaction, value) => recorder.record(transaction, finish(answer(value)));
}

const notAsked: Once = () => undefined;
