/**
 * Measures servers under load. Compared servers must run under the same conditions, so no server is measured
 * by itself: either they take turns of a second (`measureRound`), or they are busy at the same time (`measureTogether`).
 * A server is a new process, warmed up first: that makes the start a measurement too, and lets the limiter begin empty.
 */

import { StartError } from '../src/errors.ts';
import type { LoadGenerator } from './load.ts';
import { runOpenLoop } from './open-loop.ts';
import { readUsage } from './process-usage.ts';
import type { Sample } from './results.ts';
import type { MeasuredRequest } from './scenarios.ts';
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

/** The work of a server over some time at full load. */
export interface BusySample {
  /** Of processor time a request. */
  readonly cpuMicros: number;
  readonly requestsPerSecond: number;
}

/** Returns the share of their processor that servers had which were busy together. */
export function processorShareOf(samples: readonly BusySample[]): number {
  return samples.reduce(
    (sum, { cpuMicros, requestsPerSecond }) => sum + (cpuMicros * requestsPerSecond) / 1e6,
    0,
  );
}

interface Turn extends BusySample {
  readonly requests: number;
  readonly residentMegabytes: number;
}

interface WarmServer {
  readonly server: ServerProcess;
  readonly turns: Turn[];
}

/** Long enough for thousands of requests, and short compared to the drift of a machine's speed. */
export const secondsOfTurn = 1;

/**
 * Of load before each turn, which is not counted: among fourteen servers one has rested for a quarter of a minute, has given
 * back memory and lost the processor's caches, and its first second costs more than the next.
 */
const secondsOfLeadIn = 1;

/**
 * A warm-up has parts, for connections to begin and end in it. When they first end, the compiler learns of code that it had
 * not seen, and throws away what it took for granted: the second after one long load cost twice what the next ones did.
 */
function partsOfWarmUp(seconds: number): number[] {
  const part = 2;
  return Array.from({ length: Math.ceil(seconds / part) }, (_, index) =>
    Math.min(part, seconds - index * part),
  );
}

/**
 * One round of cells that are compared: all their servers are started and warmed up in turns, then they take turns of a second
 * at the busy load, forwards and backwards through the list, and then at the fixed rate. A cell whose server does not start, or
 * whose requests fail, has a StartError as its result, and the others continue. Throws if the measuring is interrupted.
 */
export async function measureRound(
  cells: readonly Cell[],
  options: MeasureOptions,
): Promise<ReadonlyMap<Cell, Sample | StartError>> {
  const found = new Map<Cell, Sample | StartError>();
  const warm = new Map<Cell, WarmServer>();
  const trying = async (cell: Cell, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof StartError) || options.signal.aborted) throw error;
      found.set(cell, error);
      await warm.get(cell)?.server.stop();
      warm.delete(cell);
    }
  };
  try {
    for (const cell of cells) {
      await trying(cell, async () => {
        warm.set(cell, { server: await startServer(cell, options), turns: [] });
      });
    }
    for (const seconds of partsOfWarmUp(options.warmUpSeconds)) {
      for (const [cell, { server }] of [...warm])
        await trying(cell, () => warmUp(server, cell, seconds, options));
    }
    for (let turn = 0; turn < options.seconds; turn += secondsOfTurn) {
      const order = turn % 2 === 0 ? [...warm] : [...warm].toReversed();
      for (const [cell, { server, turns }] of order) {
        await trying(cell, async () => {
          await runLoad(server, cell, secondsOfLeadIn, options);
          turns.push(await keepBusy(server, cell, { ...options, seconds: secondsOfTurn }));
        });
      }
    }
    for (const [cell, { server, turns }] of warm) {
      await trying(cell, async () => {
        const latencies = await measureLatencies(server, cell, options);
        found.set(cell, { ...sumUp(turns), ...latencies, startMs: server.startMs });
      });
    }
    return found;
  } finally {
    await Promise.all([...warm.values()].map(({ server }) => server.stop()));
  }
}

/**
 * The cost of requests to several servers that are busy at the same time, on one processor, round after round. Each costs
 * more than it would alone, but whatever disturbs one disturbs all, so the ratios of a round can be trusted where the
 * times cannot. Throws a StartError if requests fail.
 */
export async function measureTogether(
  cells: readonly Cell<MeasuredRequest>[],
  rounds: number,
  options: BusyOptions,
): Promise<BusySample[][]> {
  const all: { readonly server: ServerProcess; readonly cell: Cell<MeasuredRequest> }[] = [];
  try {
    for (const cell of cells) all.push({ server: await startServer(cell, options), cell });
    for (const seconds of partsOfWarmUp(options.warmUpSeconds)) {
      await Promise.all(all.map(({ server, cell }) => warmUp(server, cell, seconds, options)));
    }
    const samples: BusySample[][] = [];
    for (let round = 0; round < rounds; round += 1) {
      samples.push(await Promise.all(all.map(({ server, cell }) => keepBusy(server, cell, options))));
    }
    return samples;
  } finally {
    await Promise.all(all.map(({ server }) => server.stop()));
  }
}

function startServer(cell: Cell<MeasuredRequest>, options: BusyOptions): Promise<ServerProcess> {
  const { limit } = cell.scenario;
  return startServerProcess(cell.variant, {
    ...options,
    databaseUrl: needsDatabase(cell) ? options.databaseUrl : undefined,
    ...(limit !== undefined && { limit }),
    ...(cell.environment !== undefined && { environment: cell.environment }),
  });
}

/** Each of several workers sees a part of the requests, and its compiler wants as many of them as that of one alone. */
async function warmUp(
  server: ServerProcess,
  cell: Cell<MeasuredRequest>,
  seconds: number,
  options: BusyOptions,
): Promise<void> {
  await runLoad(server, cell, seconds * (cell.variant.workers ?? 1), options);
}

async function keepBusy(
  server: ServerProcess,
  cell: Cell<MeasuredRequest>,
  options: BusyOptions,
): Promise<Turn> {
  const before = readUsage(server.pid);
  const { requests, seconds } = await runLoad(server, cell, options.seconds, options);
  const after = readUsage(server.pid);
  if (requests === 0) throw new StartError(`No request of ${nameOf(cell)} was answered in time.`);
  return {
    requests,
    cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / requests,
    requestsPerSecond: requests / seconds,
    residentMegabytes: after.residentBytes / 1e6,
  };
}

async function measureLatencies(server: ServerProcess, cell: Cell, options: MeasureOptions) {
  const { scenario } = cell;
  const { failures, ...latencies } = await runOpenLoop({ ...options, url: server.url, scenario });
  complain(cell, failures, options.seconds);
  return latencies;
}

async function runLoad(
  server: ServerProcess,
  cell: Cell<MeasuredRequest>,
  seconds: number,
  { load, signal }: BusyOptions,
) {
  const result = await load.run({ url: server.url, scenario: cell.scenario, seconds, signal });
  complain(cell, result.failures, seconds);
  return result;
}

/** All turns of a round as one. Memory is the most of them, for between its turns a server may give some back. */
function sumUp(turns: readonly Turn[]): Omit<Sample, 'p50Ms' | 'p99Ms' | 'p999Ms' | 'startMs'> {
  const requests = turns.reduce((sum, turn) => sum + turn.requests, 0);
  const seconds = turns.reduce((sum, turn) => sum + turn.requests / turn.requestsPerSecond, 0);
  const micros = turns.reduce((sum, turn) => sum + turn.cpuMicros * turn.requests, 0);
  return {
    cpuMicros: micros / requests,
    requestsPerSecond: requests / seconds,
    residentMegabytes: Math.max(...turns.map((turn) => turn.residentMegabytes)),
  };
}

/** Where the limit is what is measured, the requests that it lets through are no failures. */
function complain(cell: Cell<MeasuredRequest>, failures: number, seconds: number): void {
  const admitted = (cell.scenario.limit ?? 0) * (1 + Math.ceil(seconds / 60));
  if (failures <= admitted) return;
  throw new StartError(
    `${failures} requests of ${nameOf(cell)} failed under load. If it reached its rate limit, take a shorter --duration.`,
  );
}

function nameOf({ variant, scenario }: Cell<MeasuredRequest>): string {
  return `"${scenario.name}" to "${variant.name}"`;
}
