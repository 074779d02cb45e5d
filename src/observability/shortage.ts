/**
 * The system has no file descriptor, memory or disk space left. Such a shortage ends by itself when the load does, so a
 * process that meets one goes on: a request or a job that needed the resource fails, and the process serves the rest.
 *
 * Where a shortage is met, the code that needs the resource says what follows. `createShortageReport` is for what no
 * code catches: it counts each, and logs one line a resource in ten seconds, since a shortage is met again and again.
 */

import { createLogPace } from './log/log-throttle.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics/metrics.ts';

const resources = ['descriptors', 'memory', 'disk'] as const;
export type Resource = (typeof resources)[number];

/** The codes of errno(3), and Node's own for a thread that could not be created. */
const shortages = new Map<unknown, Resource>([
  ['EMFILE', 'descriptors'],
  ['ENFILE', 'descriptors'],
  ['ENOMEM', 'memory'],
  ['ENOBUFS', 'memory'],
  ['EAGAIN', 'memory'],
  ['ERR_WORKER_INIT_FAILED', 'memory'],
  ['ERR_MEMORY_ALLOCATION_FAILED', 'memory'],
  ['ENOSPC', 'disk'],
  ['EDQUOT', 'disk'],
]);

/** How deep causes are looked through. */
const maxCauses = 8;

/** What an error, or one of its causes, lacked; undefined if it is of another kind. */
export function shortageOf(error: unknown, depth = 0): Resource | undefined {
  if (!(error instanceof Error) || depth > maxCauses) return undefined;
  const own = 'code' in error ? shortages.get(error.code) : undefined;
  if (own !== undefined) return own;
  const causes = error instanceof AggregateError ? [...error.errors, error.cause] : [error.cause];
  for (const cause of causes) {
    const found = shortageOf(cause, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Counts and logs an error if it is a shortage. Returns whether it is. Never throws. */
export type ReportShortage = (error: unknown) => boolean;

const lineEveryMs = 10_000;

const advice: Readonly<Record<Resource, string>> = {
  descriptors: 'The process has as many open files as it may: raise ulimit -n, or lower APP_MAX_CONNECTIONS.',
  memory: 'The system gives no more memory or processes: look at the limits of the container.',
  disk: 'The disk is full: free some space.',
};

export function createShortageReport(log: Logger, metrics: Metrics): ReportShortage {
  const counter = metrics.counter({
    name: 'resource_shortages_total',
    help: `Errors that nothing else handled, since the system had too little of a resource: ${resources.join(', ')}.`,
    labels: ['resource'],
  });
  const states = new Map(
    resources.map((resource) => [
      resource,
      { count: counter.of(resource), pace: createLogPace(lineEveryMs) },
    ]),
  );
  return (error) => {
    const resource = shortageOf(error);
    const state = resource === undefined ? undefined : states.get(resource);
    if (resource === undefined || state === undefined) return false;
    state.count.add();
    const unlogged = state.pace();
    if (unlogged !== undefined) {
      log.error('process.shortage', { resource, unlogged, error, advice: advice[resource] });
    }
    return true;
  };
}
