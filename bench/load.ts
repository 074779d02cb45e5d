/**
 * The load: 50 connections, each of which sends its next request when it has the answer to the last one, as fast as
 * the server takes them. Latencies are therefore those of a server that is busy all the time: they compare the
 * variants, and say nothing about a server with room to spare.
 */

import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { StartError } from '../src/errors.ts';
import { connections } from './workload.ts';

export interface LoadResult {
  /** Requests that were answered. */
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx and 3xx, and broken connections. */
  readonly failures: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export interface LoadGenerator {
  readonly name: 'wrk' | 'autocannon';
  run(options: LoadOptions): Promise<LoadResult>;
}

const runFile = promisify(execFile);
const autocannonFile = join(import.meta.dirname, 'node_modules', 'autocannon', 'autocannon.js');

/** `wrk` where it is installed, for it costs least; else autocannon. Throws a StartError if neither is there. */
export function findLoadGenerator(): LoadGenerator {
  if (hasWrk()) return { name: 'wrk', run: runWrk };
  if (existsSync(autocannonFile)) return { name: 'autocannon', run: runAutocannon };
  throw new StartError(
    'There is no load generator: run `npm ci --prefix bench`, which brings autocannon, or install wrk.',
  );
}

function hasWrk(): boolean {
  try {
    execFileSync('wrk', ['--version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    // It prints its version and exits with 1; only when it is missing was nothing run.
    return error instanceof Error && 'code' in error ? error.code !== 'ENOENT' : true;
  }
}

const wrkReport = z.object({
  requests: z.number(),
  duration: z.number(),
  p50: z.number(),
  p99: z.number(),
  failures: z.number(),
});

async function runWrk({ url, headers, seconds, signal }: LoadOptions): Promise<LoadResult> {
  const script = join(import.meta.dirname, 'wrk-report.lua');
  const args = [
    '-t',
    '1',
    '-c',
    String(connections),
    '-d',
    `${seconds}s`,
    '-s',
    script,
    ...headerFlags(headers),
    url,
  ];
  const { stdout } = await runFile('wrk', args, { signal });
  const report = wrkReport.parse(JSON.parse(stdout.slice(stdout.indexOf('{'))));
  return {
    requests: report.requests,
    seconds: report.duration / 1e6,
    p50Ms: report.p50 / 1000,
    p99Ms: report.p99 / 1000,
    failures: report.failures,
  };
}

const autocannonReport = z.object({
  duration: z.number(),
  '2xx': z.number(),
  non2xx: z.number(),
  errors: z.number(),
  latency: z.object({ p50: z.number(), p99: z.number() }),
});

async function runAutocannon({ url, headers, seconds, signal }: LoadOptions): Promise<LoadResult> {
  const args = ['-j', '-n', '-c', String(connections), '-d', String(seconds), ...headerFlags(headers), url];
  const { stdout } = await runFile(process.execPath, [autocannonFile, ...args], { signal });
  const report = autocannonReport.parse(JSON.parse(stdout));
  return {
    requests: report['2xx'],
    seconds: report.duration,
    p50Ms: report.latency.p50,
    p99Ms: report.latency.p99,
    failures: report.non2xx + report.errors,
  };
}

function headerFlags(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
}
