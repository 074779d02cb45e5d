/**
 * Finds the queries that the driver loses. When a connection breaks, its socket says `error` first and `close` a moment
 * later. Between the two the driver still takes the connection for a good one, and a query that it sends there is
 * settled by nobody: its promise would stay open, and its slot taken, for ever.
 *
 *     error ──────────── a query is sent ───────────── close
 *       └─ what is under way rejects     nothing rejects ─┘
 *
 * The driver tells the number of a connection in two places: to `debug`, when it writes a query to one, and to `onclose`.
 * So `debug` is set while a query is handed over, and only then, for with it the driver makes the values of a query
 * visible in its errors. A query that waits for a connection to open is not heard of, and cannot get lost.
 */

import type postgres from 'postgres';

type OnLost = (error: Error) => void;

export interface LostQueries {
  /** Makes what finds one query; `onLost` is called if that one is lost. */
  expect(onLost: OnLost): ExpectedQuery;
  /** To be told of each connection that the driver has closed. */
  closed(connection: number): void;
}

type DriverOptions = postgres.Sql<{ int8: number }>['options'];

/** Those that would be lost with each connection, by its number. */
type Expected = Map<number, OnLost[]>;

export function createLostQueries(driver: () => { readonly options: DriverOptions }): LostQueries {
  const byConnection: Expected = new Map();

  return {
    expect: (onLost) => new ExpectedQuery(driver().options, byConnection, onLost),
    closed(connection) {
      const lost = byConnection.get(connection);
      byConnection.delete(connection);
      // Whoever is told leaves the list.
      for (const onLost of lost?.splice(0) ?? []) {
        const error = new Error('The connection closed when the query was sent.');
        onLost(Object.assign(error, { code: 'CONNECTION_CLOSED' }));
      }
    },
  };
}

/**
 * While it listens, the driver must write this query to a connection, or none. A class, as one is made for each query and
 * lives as long (docs/performance.md).
 */
class ExpectedQuery {
  readonly #options: DriverOptions;
  readonly #byConnection: Expected;
  readonly #onLost: OnLost;
  #beside: OnLost[] | undefined = undefined;

  constructor(options: DriverOptions, byConnection: Expected, onLost: OnLost) {
    this.#options = options;
    this.#byConnection = byConnection;
    this.#onLost = onLost;
  }

  listen(): void {
    this.#options.debug = (connection) => {
      this.#beside = this.#byConnection.get(connection) ?? [];
      this.#beside.push(this.#onLost);
      this.#byConnection.set(connection, this.#beside);
    };
  }

  stopListening(): void {
    this.#options.debug = false;
  }

  /** The query was settled. */
  forget(): void {
    const index = this.#beside?.indexOf(this.#onLost) ?? -1;
    if (index >= 0) this.#beside?.splice(index, 1);
  }
}
