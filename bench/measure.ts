/**
 * One round of one cell: a new process, a warm-up, the busy load, then the fixed rate. A new process each time makes the
 * start a measurement too, lets the limiter begin empty, and keeps one lucky or unlucky heap from deciding over all rounds.
 */

import { StartError } from '../src/errors.ts';
import type { LoadGenerator } from './load.ts';
import { runOpenLoop } from './open-loop.ts';
import { readUsage } from './process-usage.ts';
import type { Sample } from './results.ts';
import { type ServerProcess, type ServerProcessOptions, startServerProcess } from './server-process.ts';
import { type Cell, needsDatabase } from './variants.ts';

export interface BusyOptions extends Omit<ServerProcessOptions, 'limit' | 'logFile'> {
  readonly load: LoadGenerator;
  /** Of measured load. */
  readonly seconds: number;
  /** Of load before the measured one, for each process that takes part in the work. */
  readonly warmUpSeconds: number;
}

export interface MeasureOptions extends BusyOptions {
  /** Requests a second at which latencies are measured. */
  readonly rate: number;
}

export type BusySample = Omit<Sample, 'p50Ms' | 'p99Ms' | 'p999Ms'>;

/** Everything. Throws a StartError if requests fail, for then the variants would not have done the same work. */
export function measure(cell: Cell, options: MeasureOptions): Promise<Sample> {
  return withServer(cell, options, async (server) => {
    const busy = await keepBusy(server, cell, options);
    const { failures, p50Ms, p99Ms, p999Ms } = await runOpenLoop({
      ...options,
      url: server.url,
      scenario: cell.scenario,
    });
    complain(cell, failures, options.seconds);
    return { ...busy, p50Ms, p99Ms, p999Ms };
  });
}

/** The cost of a request alone, without latencies. Throws a StartError if requests fail. */
export function measureBusy(cell: Cell, options: BusyOptions): Promise<BusySample> {
  return withServer(cell, options, (server) => keepBusy(server, cell, options));
}

async function withServer<Found>(
  cell: Cell,
  options: BusyOptions,
  use: (server: ServerProcess) => Promise<Found>,
): Promise<Found> {
  const { limit } = cell.scenario;
  const server = await startServerProcess(cell.variant, {
    ...options,
    databaseUrl: needsDatabase(cell) ? options.databaseUrl : undefined,
    ...(limit !== undefined && { limit }),
  });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function keepBusy(server: ServerProcess, cell: Cell, options: BusyOptions): Promise<BusySample> {
  const { load, seconds, warmUpSeconds, signal } = options;
  const { variant, scenario } = cell;
  const run = async (duration: number) => {
    const result = await load.run({ url: server.url, scenario, seconds: duration, signal });
    complain(cell, result.failures, duration);
    return result;
  };
  // Each of several workers sees a part of the requests, and its compiler wants as many of them as that of one alone.
  await run(warmUpSeconds * (variant.workers ?? 1));
  const before = readUsage(server.pid);
  const result = await run(seconds);
  const after = readUsage(server.pid);
  if (result.requests === 0) throw new StartError(`No request of ${nameOf(cell)} was answered in time.`);
  return {
    cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / result.requests,
    requestsPerSecond: result.requests / result.seconds,
    residentMegabytes: after.residentBytes / 1e6,
    startMs: server.startMs,
  };
}

/** Where the limit is what is measured, the requests that it lets through are no failures. */
function complain(cell: Cell, failures: number, seconds: number): void {
  const admitted = (cell.scenario.limit ?? 0) * (1 + Math.ceil(seconds / 60));
  if (failures <= admitted) return;
  throw new StartError(
    `${failures} requests of ${nameOf(cell)} failed under load. If it reached its rate limit, take a shorter --duration.`,
  );
}

function nameOf({ variant, scenario }: Cell): string {
  return `"${scenario.name}" to "${variant.name}"`;
}
