/** Publishes SQL statements for tracers: see `observability/trace-channels.ts`. */

import {
  beginOperation,
  endOperation,
  type QueryMessage,
  type QueryTarget,
  queryChannel,
} from '../observability/trace-channels.ts';
import { readConnectionUrl } from './driver/connection-url.ts';
import { type DriverQuery, describeStatement } from './driver/driver-query.ts';

/** Returns what a tracer may know about a database: no account, and the first of several hosts. */
export function findQueryTarget(url: string | null): QueryTarget {
  const target = url === null ? undefined : readConnectionUrl(url);
  const first = target?.hosts[0];
  const isSocket = first?.host.startsWith('/') === true;
  return {
    host: isSocket ? undefined : first?.host,
    port: isSocket ? undefined : first?.port,
    database: target?.database ?? target?.user,
  };
}

/** The span of a sent query. */
export interface QuerySpan {
  send(send: () => void): void;
  end(query: DriverQuery, result: unknown, error: unknown): void;
}

/** Returns undefined if no tracer listens. */
export function openQuerySpan(target: QueryTarget): QuerySpan | undefined {
  if (!queryChannel.hasSubscribers) return undefined;
  const message: QueryMessage = { target };
  return {
    send: (send) => beginOperation(queryChannel, message, send),
    end(query, result, error) {
      message.statement = describeStatement(query);
      if (Array.isArray(result)) {
        message.rows = result.length;
        message.command = commandOf(result);
      }
      endOperation(queryChannel, message, error);
    },
  };
}

/** Runs a statement that the pool sends itself, such as `commit`. */
export function traceStatement<Result>(
  target: QueryTarget,
  statement: string,
  run: () => Promise<Result>,
): Promise<Result> {
  if (!queryChannel.hasSubscribers) return run();
  const command = statement.split(' ', 1)[0]?.toUpperCase();
  return queryChannel.tracePromise(run, { target, statement, command });
}

function commandOf(result: object): string | undefined {
  return 'command' in result && typeof result.command === 'string' ? result.command : undefined;
}
