/**
 * One connection of the pool. It is a driver of its own with at most one connection. So the queries on it are known, it
 * can be closed without affecting others, and no state survives it: the driver keeps the state of a connection that
 * broke (a query, an error, bytes to write) and would use it for the next connection.
 *
 *     closed ──a query is sent──> open ──it breaks, is discarded, or is too old──> closed
 *
 * The driver gets one query at a time. Queries that a transaction sends together wait here in order. So a waiting query
 * can be withdrawn, and none is sent on the connection that is opened after a break.
 */

import { AsyncResource } from 'node:async_hooks';
import { endsConnection, sqlState } from '../database-error.ts';
import type { Driver } from './driver.ts';
import { type DriverQuery, isDriverQuery } from './driver-query.ts';

/** Opens a driver with at most one connection. The driver must call `onClose` when that connection has closed. */
export type OpenConnection = (onClose: () => void) => Driver;

interface Session {
  readonly driver: Driver;
  readonly send: (query: DriverQuery, autocommit: boolean) => void;
  readonly cancel: (query: DriverQuery) => Promise<void>;
  /** When it is too old to be used again, by the monotonic clock. */
  readonly oldAt: number;
  /** Whether PostgreSQL has completed a query on it. */
  hasAnswered: boolean;
}

/** The delay before the next attempt to connect. Short, because a query waits for it and failed attempts are cheap. */
const reopenMs = () => 50 + Math.random() * 100;
/** Connections are renewed from time to time, so that a backend frees the memory that it has accumulated. */
const lifetimeMs = () => (30 + Math.random() * 30) * 60_000;

const maxResets = 10;

/** Create it outside of any request: the driver's sockets live in the asynchronous context of their creation. */
export class PoolConnection {
  readonly #openDriver: OpenConnection;
  readonly #sendOutsideOfRequests = AsyncResource.bind(
    (session: Session, query: DriverQuery, autocommit: boolean) => session.send(query, autocommit),
  );
  readonly #waiting: DriverQuery[] = [];
  #session: Session | undefined = undefined;
  #current: DriverQuery | undefined = undefined;
  /** No new connection is opened before this time, by the monotonic clock. */
  #closedUntil = 0;
  /** When PostgreSQL last completed a query, by the monotonic clock. */
  #doneAt = 0;
  /** Called when the connection breaks. A transaction sets it, to learn of a break between two of its queries. */
  onBroken: ((error: Error) => void) | undefined = undefined;

  constructor(open: OpenConnection) {
    this.#openDriver = open;
  }

  /** The driver of the open connection; undefined if none is open. */
  get driver(): Driver | undefined {
    return this.#session?.driver;
  }

  /** Whether it is open, and PostgreSQL has completed a query on it. */
  get hasAnswered(): boolean {
    return this.#session?.hasAnswered === true;
  }

  get isIdle(): boolean {
    return this.#current === undefined;
  }

  /**
   * Sends a query after those that were sent before. Calls its `reject` if the connection breaks. The caller must call
   * `done` when PostgreSQL is ready for the next query. `autocommit`: whether it is outside of a transaction.
   */
  send(query: DriverQuery, autocommit: boolean): void {
    if (this.#current === undefined) this.#dispatch(query, autocommit);
    else this.#waiting.push(query);
  }

  /** Removes a query that waits here. Returns false if the driver already has it. */
  withdraw(query: DriverQuery): boolean {
    const index = this.#waiting.indexOf(query);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  /** Call it when PostgreSQL is ready for the next query. */
  done(query: DriverQuery): void {
    if (this.#current !== query) return;
    this.#doneAt = performance.now();
    if (this.#session !== undefined) this.#session.hasAnswered = true;
    const next = this.#waiting.shift();
    this.#current = next;
    if (next === undefined) return;
    // In a microtask, because the driver has not finished with the last query when it settles it.
    queueMicrotask(() => {
      if (this.#current === next) this.#dispatch(next, false);
    });
  }

  /**
   * Asks PostgreSQL to cancel the query if it runs. Resolves when PostgreSQL has closed the connection of the cancel
   * request; by then it has signalled the backend. Rejects if that connection fails.
   */
  async cancel(query: DriverQuery): Promise<void> {
    if (this.#current !== query || query.state === null) return;
    // The driver considers a query over when its caller has been answered.
    query.active = true;
    await this.#session?.cancel(query);
  }

  /**
   * Runs a statement of the pool itself. Resolves with its command tag: a `COMMIT` that PostgreSQL answers with
   * `ROLLBACK` has not committed. Rejects with the driver's errors.
   */
  async execute(text: string): Promise<string | null> {
    const query = this.#open().driver.unwatched.unsafe(text);
    if (isDriverQuery(query)) query.handler = (self) => this.#sendOwn(self);
    return (await query).command;
  }

  /**
   * Makes the connection fit for the next query after a query that was cancelled, or that may have left a transaction
   * open: a `begin` sent as a statement of its own, or the `begin` of several statements of which a later one failed.
   * Never rejects. Afterwards the connection is idle and outside of a transaction, and no cancellation can hit it; or it
   * was discarded.
   *
   * Sends one statement, and sends it again while a late cancellation hits it. The statement is `rollback` only where a
   * transaction is open, because PostgreSQL logs a warning otherwise. `isInTransaction`: a transaction may be open that has
   * not failed.
   */
  async reset(isInTransaction = false): Promise<void> {
    let reason: unknown;
    let statement = isInTransaction ? 'rollback' : 'select 1';
    for (let attempt = 1; attempt <= maxResets; attempt += 1) {
      try {
        await this.execute(statement);
        return;
      } catch (error) {
        if (endsConnection(error)) return;
        reason = error;
        const state = sqlState(error);
        // 25P02: the transaction has failed. 57014: the statement was cancelled.
        if (state === '25P02') statement = 'rollback';
        else if (state !== '57014') break;
      }
    }
    this.discard(reason);
  }

  /** Closes the connection if it is too old. Call it while the connection is idle. */
  retire(): void {
    if (this.#session !== undefined && performance.now() > this.#session.oldAt) this.discard();
  }

  /**
   * Closes the connection at once, even during a query. The next query opens another one. Its queries and `onBroken`
   * get `reason` if that is why the connection was closed: they must report what PostgreSQL or the network reported.
   */
  discard(reason?: unknown): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#forget(session, brokenBy(reason));
    void session.driver.end({ timeout: 0 });
  }

  /** Discards the connection, and bytes that the network has not delivered yet, so that its query does not run later. */
  cutOff(reason: Error): void {
    this.#session?.driver.reset(reason);
    this.discard(reason);
  }

  /** Discards the connection if it is idle and PostgreSQL has completed no query since `since` (monotonic clock). */
  discardIfSilentSince(since: number): void {
    if (this.isIdle && this.#doneAt <= since) this.discard();
  }

  /** Discards the connection if a query waits until it is open. That query was not sent. */
  discardIfOpening(reason: Error): void {
    if (this.#current?.state === null) this.discard(reason);
  }

  /** Discards the connection, and resolves when it has closed. */
  async close(): Promise<void> {
    const closed = this.#session?.driver.end({ timeout: 0 });
    this.discard();
    await closed;
  }

  #sendOwn(query: DriverQuery): void {
    const { resolve, reject } = query;
    // The driver settles a query again when it closes the connection that broke under it.
    let isOver = false;
    query.resolve = (result) => {
      if (isOver) return;
      isOver = true;
      this.done(query);
      resolve(result);
    };
    query.reject = (error) => {
      if (isOver) return;
      isOver = true;
      if (endsConnection(error) || query.state === null) this.discard(error);
      else this.done(query);
      reject(error);
    };
    this.send(query, false);
  }

  #dispatch(query: DriverQuery, autocommit: boolean): void {
    this.#current = query;
    const session = this.#open();
    const waitMs = this.#closedUntil === 0 ? 0 : this.#closedUntil - performance.now();
    this.#closedUntil = 0;
    if (waitMs <= 0) this.#sendOutsideOfRequests(session, query, autocommit);
    else
      setTimeout(() => {
        if (this.#session === session && this.#current === query)
          this.#sendOutsideOfRequests(session, query, autocommit);
      }, waitMs);
  }

  #open(): Session {
    if (this.#session !== undefined) return this.#session;
    const driver = this.#openDriver(() => {
      if (this.#session === session) {
        this.#forget(
          session,
          connectionError('CONNECTION_CLOSED', 'The connection to the database was closed.'),
        );
      }
    });
    const query = driver.unwatched`select 1`;
    if (!isDriverQuery(query)) throw new Error('The driver returned no query.');
    const { handler, canceller } = query;
    const session: Session = {
      driver,
      send: (sent, autocommit) => driver.send(sent, handler, autocommit),
      cancel: async (running) => canceller?.(running),
      oldAt: performance.now() + lifetimeMs(),
      hasAnswered: false,
    };
    this.#session = session;
    return session;
  }

  /** Removes all state of a connection. */
  #forget(session: Session, error: Error): void {
    if (this.#session !== session) return;
    const lost = [...(this.#current === undefined ? [] : [this.#current]), ...this.#waiting.splice(0)];
    this.#session = undefined;
    this.#current = undefined;
    this.#closedUntil = performance.now() + reopenMs();
    for (const query of lost) query.reject(error);
    this.onBroken?.(error);
  }
}

/** Returns the error for the queries of a connection that was discarded for `reason`. */
function brokenBy(reason: unknown): Error {
  if (reason instanceof Error && endsConnection(reason)) return reason;
  return connectionError('CONNECTION_DESTROYED', 'The connection to the database was given up.', reason);
}

/** Creates the error of a connection that broke, or could not be opened. */
export function connectionError(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), {
    code,
    errno: code,
  });
}
