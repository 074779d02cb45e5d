import { StartError } from '../src/errors.ts';
import type { LoadGenerator } from './load.ts';
import { readUsage } from './process-usage.ts';
import { type ServerProcessOptions, startServerProcess } from './server-process.ts';
import type { Variant } from './variants.ts';
import { headersFor, measuredId, personPath } from './workload.ts';

/** What one round of one variant has shown. */
export interface Sample {
  /** Microseconds of processor time of the server, user and system, over the requests it answered. */
  readonly cpuMicros: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Resident memory at the end of the load, in units of 1,000,000 bytes. */
  readonly residentMegabytes: number;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
}

export interface MeasureOptions extends ServerProcessOptions {
  readonly load: LoadGenerator;
  readonly seconds: number;
  /** Of load before the measured one, for each process that takes part in the work. */
  readonly warmUpSeconds: number;
}

/**
 * One round: a new process, a warm-up, the load. A new process each time makes the start a measurement too, lets the
 * limiter begin empty, and keeps one lucky or unlucky heap from deciding over all rounds. Throws a StartError if a
 * request fails, for then the variants would not have done the same work.
 */
export async function measure(variant: Variant, options: MeasureOptions): Promise<Sample> {
  const { load, seconds, warmUpSeconds, signal } = options;
  const server = await startServerProcess(variant, options);
  const url = `${server.url}${personPath(measuredId)}`;
  const headers = headersFor(variant);
  const run = async (duration: number) => {
    const result = await load.run({ url, headers, seconds: duration, signal });
    if (result.failures === 0 && result.requests > 0) return result;
    throw new StartError(
      `${result.failures} requests to "${variant.name}" failed under load. If it reached its rate limit, take a shorter --duration.`,
    );
  };
  try {
    // Each of several workers sees a part of the requests, and its compiler wants as many of them as that of one alone.
    await run(warmUpSeconds * (variant.workers ?? 1));
    const before = readUsage(server.pid);
    const result = await run(seconds);
    const after = readUsage(server.pid);
    return {
      cpuMicros: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / result.requests,
      requestsPerSecond: result.requests / result.seconds,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      residentMegabytes: after.residentBytes / 1e6,
      startMs: server.startMs,
    };
  } finally {
    await server.stop();
  }
}
