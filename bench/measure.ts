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

/**
 * The cost of requests to several servers that are busy at the same time, on one processor, round after round. Each costs
 * more than it would alone, but whatever disturbs one disturbs all, so the ratios of a round can be trusted where the
 * times cannot. Throws a StartError if requests fail.
 */
export async function measureTogether(
  cells: readonly Cell[],
  rounds: number,
  options: BusyOptions,
): Promise<BusySample[][]> {
  const all: { readonly server: ServerProcess; readonly cell: Cell }[] = [];
  try {
    for (const cell of cells) all.push({ server: await startServer(cell, options), cell });
    await Promise.all(all.map(({ server, cell }) => warmUp(server, cell, options)));
    const samples: BusySample[][] = [];
    for (let round = 0; round < rounds; round += 1) {
      samples.push(await Promise.all(all.map(({ server, cell }) => keepBusy(server, cell, options))));
    }
    return samples;
  } finally {
    await Promise.all(all.map(({ server }) => server.stop()));
  }
}

async function withServer<Found>(
  cell: Cell,
  options: BusyOptions,
  use: (server: ServerProcess) => Promise<Found>,
): Promise<Found> {
  const server = await startServer(cell, options);
  try {
    await warmUp(server, cell, options);
    return await use(server);
  } finally {
    await server.stop();
  }
}

function startServer(cell: Cell, options: BusyOptions): Promise<ServerProcess> {
  const { limit } = cell.scenario;
  return startServerProcess(cell.variant, {
    ...options,
    databaseUrl: needsDatabase(cell) ? options.databaseUrl : undefined,
    ...(limit !== undefined && { limit }),
  });
}

/** Each of several workers sees a part of the requests, and its compiler wants as many of them as that of one alone. */
async function warmUp(server: ServerProcess, cell: Cell, options: BusyOptions): Promise<void> {
  await runLoad(server, cell, options.warmUpSeconds * (cell.variant.workers ?? 1), options);
}

async function runLoad(server: ServerProcess, cell: Cell, seconds: number, { load, signal }: BusyOptions) {
  const result = await load.run({ url: server.url, scenario: cell.scenario, seconds, signal });
  complain(cell, result.failures, seconds);
  return result;
}

async function keepBusy(server: ServerProcess, cell: Cell, options: BusyOptions): Promise<BusySample> {
  const before = readUsage(server.pid);
  const result = await runLoad(server, cell, options.seconds, options);
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
