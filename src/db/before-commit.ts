import type { Sql } from './sql.ts';

/**
 * What a caller adds to the transaction of a service. The service calls it with the result, as the last thing inside:
 * what it writes is committed together with the service's own rows, and what it throws rolls both back.
 */
export type BeforeCommit<T> = (transaction: Sql, result: T) => Promise<void>;
