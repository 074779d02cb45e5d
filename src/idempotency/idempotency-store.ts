/**
 * Executes a request once, however often it is sent. A client that gets no response to a POST cannot know whether it was
 * executed. With an `Idempotency-Key` it may send the request again (draft-ietf-httpapi-idempotency-key-header). The key is
 * a row, and the row is inserted before the work begins:
 *
 *                          begin                   complete
 *     no row, or expired ─────────> running ─────────────────────> done ──24 hours──> expired
 *            ^                      │     │   in the transaction
 *            └────── release ───────┘     │   of the effect
 *            └──── the lease expires ─────┘   (its process has died)
 *
 * Guarantees:
 * - `begin` is one statement: of any number of parallel requests with the same key, exactly one starts.
 * - The effect and the response are committed together: a row is done if and only if the effect is committed.
 * - Each attempt has its own id, and only the attempt that owns the row can complete or release it. An attempt whose lease
 *   has expired and whose row another attempt has claimed is fenced: its transaction rolls back.
 * - An expired row counts as absent, whether or not it has been deleted. The clock of the database decides.
 *
 * Failures, and the result for a client that sends the request again:
 *
 *     failure                                     the row                         the repeated request
 *     the work is rejected or fails               is released                     is executed
 *     the process dies during the work            runs until its lease expires    gets 409 until then, then is executed
 *     the database is unavailable at release      runs until its lease expires    gets 409 until then, then is executed
 *     the connection breaks during the commit     is done or released             gets the response, or is executed
 *     the process dies, the client disconnects,
 *       or the response is lost, after commit     is done                         gets the response
 *     the process pauses beyond its lease         belongs to another attempt      gets the response of that attempt; the
 *                                                                                 effect of the first one is rolled back
 *
 * Limit: the guarantees cover effects in this database only. Send a mail or call another service after the commit.
 */

/** One attempt to execute a request once. */
export interface Claim {
  /** The namespace of the key, such as its user: two scopes may use the same key. */
  readonly scope: string;
  /** SHA-256 of the key. */
  readonly key: Uint8Array;
  /** The digest of the request. The same key with another fingerprint is a mistake of the client. */
  readonly fingerprint: Uint8Array;
  /** The id of this attempt, a UUID. */
  readonly attempt: string;
}

/** A stored response: the header fields of the handler and the exact text. */
export interface StoredReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/**
 * The result of `begin`: this attempt owns the key, another attempt is running, the key was used with another request, or the
 * request is done.
 */
export type BeginResult =
  | { readonly kind: 'started' }
  | { readonly kind: 'running' }
  | { readonly kind: 'mismatch' }
  | ({ readonly kind: 'done' } & StoredReply);

/** Every method can also reject with an AppError of the database. */
export interface IdempotencyStore {
  /** Claims the key if it is free. After a rejection the key may be claimed nevertheless: release it. */
  begin(claim: Claim): Promise<BeginResult>;
  /**
   * Stores the response in the transaction of the effect, as its last statement. Returns false if the attempt has lost the
   * row; the transaction must then roll back. Rejects with an Error if `transaction` is not a transaction of the database.
   */
  complete(transaction: unknown, claim: Claim, reply: StoredReply): Promise<boolean>;
  /** Releases the key if this attempt owns it and is not done. */
  release(claim: Claim): Promise<void>;
}
