/**
 * Requests that are done once, however often they are sent. A client that gets no answer to a POST cannot know whether
 * it was done; with an `Idempotency-Key` it may send it again (draft-ietf-httpapi-idempotency-key-header). The key is
 * a row, and the row stands before the work begins:
 *
 *                          begin                   complete
 *     no row, or expired ─────────> running ─────────────────────> done ──24 hours──> expired
 *            ^                      │     │   in the transaction
 *            └────── release ───────┘     │   of the effect
 *            └──── the lease has ended ───┘   (its process has died)
 *
 * What holds:
 * - `begin` is one statement: of any number of parallel requests with a key, one starts.
 * - The effect and the answer are one commit: a row is done if and only if the effect is there.
 * - Each attempt has an id of its own, and only the attempt that has the row can complete or release it. An attempt
 *   whose lease has ended, and whose row another has taken, is fenced: its transaction rolls back.
 * - An expired row counts as none, whether it has been deleted yet or not. The database's clock decides.
 *
 * Where it can break, and what a client finds that sends the request again:
 *
 *     what happens                                the row                       the request sent again
 *     the work is refused, or fails               released                      is done anew
 *     the process dies at work                    runs until its lease ends     409 until then, then is done
 *     the database is gone when it is released    runs until its lease ends     409 until then, then is done
 *     the connection breaks during the commit     done, or released             gets the answer, or is done
 *     the process dies, the client goes, or the
 *       answer is lost, after the commit          done                          gets the answer
 *     the process sleeps beyond its lease         another attempt has it        what that attempt did; the sleeper's
 *                                                                               effect is rolled back
 *
 * It knows effects in this database only: a mail or a call to another service belongs behind the commit.
 */

/** A request that is to be done once. */
export interface Claim {
  /** Whose keys these are: two scopes may use the same key. */
  readonly scope: string;
  /** SHA-256 of the key. */
  readonly key: Uint8Array;
  /** What the request asks for; the same key with another fingerprint is a mistake of the client. */
  readonly fingerprint: Uint8Array;
  /** The id of this attempt at it, a UUID. */
  readonly attempt: string;
}

/** An answer as it is kept: the header fields of the handler and the exact text. */
export interface StoredReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** What became of `begin`: the work is ours, somebody else's, another request's, or done. */
export type Begun =
  | { readonly kind: 'started' }
  | { readonly kind: 'running' }
  | { readonly kind: 'mismatch' }
  | ({ readonly kind: 'done' } & StoredReply);

/** All reject with the AppErrors of the database. */
export interface IdempotencyStore {
  /** Takes the key if it is free. After a rejection it may be taken all the same: release it. */
  begin(claim: Claim): Promise<Begun>;
  /**
   * Stores the answer in the transaction of the effect, as its last statement. False if the attempt has lost the row:
   * then the transaction must roll back. Throws an Error for what is no transaction of the database.
   */
  complete(transaction: unknown, claim: Claim, reply: StoredReply): Promise<boolean>;
  /** Gives the key back if the attempt has it and is not done. */
  release(claim: Claim): Promise<void>;
}
