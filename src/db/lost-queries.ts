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

export interface LostQueries {
  /** Makes what finds one query; `onLost` is called if that one is lost. */
  expect(onLost: (error: Error) => void): ExpectedQuery;
  /** To be told of each connection that the driver has closed. */
  closed(connection: number): void;
}

/** While it listens, the driver must write this query to a connection, or none. */
export interface ExpectedQuery {
  listen(): void;
  stopListening(): void;
  /** The query was settled. */
  forget(): void;
}

type OnLost = (error: Error) => void;

export function createLostQueries(driver: () => postgres.Sql<{ int8: number }>): LostQueries {
  const byConnection = new Map<number, Set<OnLost>>();

  return {
    expect(onLost) {
      const { options } = driver();
      let own: Set<OnLost> | undefined;
      const hear = (connection: number) => {
        own = byConnection.get(connection) ?? new Set();
        byConnection.set(connection, own.add(onLost));
      };
      return {
        listen() {
          options.debug = hear;
        },
        stopListening() {
          options.debug = false;
        },
        forget() {
          own?.delete(onLost);
        },
      };
    },
    closed(connection) {
      const lost = byConnection.get(connection);
      if (lost === undefined || lost.size === 0) return;
      byConnection.delete(connection);
      const error = new Error('The connection closed when the query was sent.');
      for (const onLost of lost) onLost(Object.assign(error, { code: 'CONNECTION_CLOSED' }));
    },
  };
}
