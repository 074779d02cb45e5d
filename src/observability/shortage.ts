/**
 * Shortages: the system has no file descriptor, memory or disk space left. A shortage is over when the load that caused it is over, so
 * the process continues: the request or job that needed the resource fails, and all others are served.
 *
 * Code that needs a resource handles its shortage. `createShortageReport` is for errors that no code catches: it counts
 * each, and logs one line per resource in ten seconds, since a shortage causes many errors.
 */

import { causesOf } from '../errors.ts';
import { createLogThrottle } from './log/log-throttle.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics/metrics.ts';

const resources = ['descriptors', 'memory', 'disk'] as const;
export type Resource = (typeof resources)[number];

/** The codes of errno(3), and Node's codes for a thread or an allocation that failed. */
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

/** Returns the resource that an error, or one of its causes, reports as exhausted; undefined for any other error. */
export function shortageOf(error: unknown): Resource | undefined {
  for (const each of causesOf(error)) {
    const resource = each instanceof Error && 'code' in each ? shortages.get(each.code) : undefined;
    if (resource !== undefined) return resource;
  }
  return undefined;
}

/** Counts and logs an error if it is a shortage. Returns whether it is. Never throws. */
export type ReportShortage = (error: unknown) => boolean;

const lineEveryMs = 10_000;

const advice: Readonly<Record<Resource, string>> = {
  descriptors:
    'The process has reached its limit of open files: raise ulimit -n, or lower APP_MAX_CONNECTIONS.',
  memory: 'The system grants no further memory or processes: check the limits of the container.',
  disk: 'The disk is full: free some space.',
};

export function createShortageReport(log: Logger, metrics: Metrics): ReportShortage {
  const counter = metrics.counter({
    name: 'resource_shortages_total',
    help: `Unhandled errors caused by a shortage of a resource: ${resources.join(', ')}.`,
    labels: ['resource'],
  });
  const states = new Map(
    resources.map((resource) => [
      resource,
      { count: counter.of(resource), throttle: createLogThrottle(lineEveryMs) },
    ]),
  );
  return (error) => {
    const resource = shortageOf(error);
    const state = resource === undefined ? undefined : states.get(resource);
    if (resource === undefined || state === undefined) return false;
    state.count.add();
    const unlogged = state.throttle();
    if (unlogged !== undefined) {
      log.error('process.shortage', { resource, unlogged, error, advice: advice[resource] });
    }
    return true;
  };
}
