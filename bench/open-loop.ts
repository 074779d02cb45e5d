/**
 * Latencies at a fixed rate, without coordinated omission. A client that waits for an answer before it asks again asks
 * a slow server less often, just while it is slow, and so leaves out the very latencies that matter. Here the moments at
 * which requests are due are fixed before the first one is sent:
 *
 *     due        0   1/rate   2/rate   3/rate ...      whatever the server does
 *     sent       when due (metronome.mjs); later if all connections wait for an answer, or if this process was held up
 *     latency    from due, not from sent, to the last byte of the answer
 *
 * A server that stalls for half a second therefore delays each request that was due in that time, and each is counted,
 * although few were on their way. Each request is counted as exactly one of two: a latency, or a failure (another status than
 * the scenario's, a broken connection, no answer before the deadline). When `runOpenLoop` settles, none is on its way.
 */

import { once, setMaxListeners } from 'node:events';
import { Agent, request } from 'node:http';
import { Worker } from 'node:worker_threads';
import { createHostClock } from '../src/limits/host-clock.ts';
import type { Scenario } from './scenarios.ts';
import { quantile } from './statistics.ts';
import { connections as usualConnections } from './workload.ts';

export interface OpenLoopOptions {
  /** The server, without a path. */
  readonly url: string;
  readonly scenario: Pick<Scenario, 'method' | 'path' | 'headers' | 'body' | 'status'>;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Each with one request at a time. */
  readonly connections?: number;
  /** How long the last request may take, in milliseconds. */
  readonly lastRequestMs?: number;
}

export interface OpenLoopResult {
  /** Requests that were answered as they should be; the percentiles are theirs. */
  readonly requests: number;
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/** The clock of the metronome's thread. */
const now = createHostClock();

/** Sends `rate * seconds` requests, each when it is due. Throws the signal's reason if it is aborted. */
export async function runOpenLoop(options: OpenLoopOptions): Promise<OpenLoopResult> {
  const { rate, seconds, signal, connections = usualConnections, lastRequestMs = 10_000 } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' });
  const deadline = AbortSignal.timeout(seconds * 1000 + lastRequestMs);
  const over = AbortSignal.any([signal, deadline]);
  // Each request on its way listens to it, and there is no bound to how many wait for a connection.
  setMaxListeners(0, over);
  const latencies: number[] = [];
  let failures = 0;

  const ask = async (due: number) => {
    const isAnswered = await send(options, agent, over);
    if (isAnswered) latencies.push(now() - due);
    else failures += 1;
  };

  await Promise.all(await atRate(rate, rate * seconds, signal, ask));
  agent.destroy();
  signal.throwIfAborted();

  const sorted = latencies.toSorted((a, b) => a - b);
  return {
    requests: sorted.length,
    failures,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    p999Ms: quantile(sorted, 0.999),
  };
}

/** Calls `work` with each moment when it has come. Resolves, after the last or when aborted, with what the calls returned. */
async function atRate<Result>(
  rate: number,
  count: number,
  signal: AbortSignal,
  work: (due: number) => Result,
): Promise<Result[]> {
  const results: Result[] = [];
  const file = new URL('metronome.mjs', import.meta.url);
  const metronome = new Worker(file, { workerData: { rate, count }, execArgv: [] });
  metronome.on('message', (due: number) => results.push(work(due)));
  const stop = () => void metronome.terminate();
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  await once(metronome, 'exit');
  signal.removeEventListener('abort', stop);
  return results;
}

/** Whether the answer came, whole and with the scenario's status. Never rejects. */
function send({ url, scenario }: OpenLoopOptions, agent: Agent, signal: AbortSignal): Promise<boolean> {
  const { method, path, headers, body, status } = scenario;
  return new Promise((resolve) => {
    const fail = () => resolve(false);
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const asked = request(
      `${url}${path}`,
      { agent, method, headers: { ...headers, ...length }, signal },
      (response) => {
        response.on('error', fail).on('end', () => resolve(response.statusCode === status));
        response.resume();
      },
    );
    asked.on('error', fail).end(body);
  });
}
