/**
 * The busy load: 50 connections, each of which sends its next request when it has the answer to the last one, as fast as
 * the server takes them. It shows what a request costs and how many a second there can be. Latencies are measured at
 * a fixed rate instead (`open-loop.ts`): here they would only show the length of the queue.
 */

import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { StartError } from '../src/errors.ts';
import type { MeasuredRequest } from './scenarios.ts';
import { connections } from './workload.ts';

export interface LoadResult {
  /** Requests that were answered. */
  readonly requests: number;
  readonly seconds: number;
  /** Answers of the other kind (an error where success is expected, or the reverse), and broken connections. */
  readonly failures: number;
}

export interface LoadOptions {
  /** The server, without a path. */
  readonly url: string;
  readonly scenario: MeasuredRequest;
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
  refused: z.number(),
  broken: z.number(),
});

async function runWrk({ url, scenario, seconds, signal }: LoadOptions): Promise<LoadResult> {
  const { method, path, headers, body } = scenario;
  const script = join(import.meta.dirname, 'wrk-report.lua');
  // Its default timeout, 2 s, is shorter than a pause of a busy machine.
  const load = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--timeout', '15s', '-s', script];
  const call = [`${url}${path}`, '--', method, ...(body === undefined ? [] : [body])];
  const { stdout } = await runFile('wrk', [...load, ...headerFlags(headers), ...call], { signal });
  const report = wrkReport.parse(JSON.parse(stdout.slice(stdout.indexOf('{'))));
  const { requests, refused, broken } = report;
  return {
    requests,
    seconds: report.duration / 1e6,
    failures: broken + (expectsSuccess(scenario) ? refused : requests - refused),
  };
}

const autocannonReport = z.object({
  duration: z.number(),
  '2xx': z.number(),
  non2xx: z.number(),
  errors: z.number(),
});

async function runAutocannon({ url, scenario, seconds, signal }: LoadOptions): Promise<LoadResult> {
  const { method, path, headers, body } = scenario;
  const load = ['-j', '-n', '-c', String(connections), '-d', String(seconds), '-m', method];
  const content = body === undefined ? [] : ['-b', body];
  const args = [autocannonFile, ...load, ...headerFlags(headers), ...content, `${url}${path}`];
  const { stdout } = await runFile(process.execPath, args, { signal });
  const report = autocannonReport.parse(JSON.parse(stdout));
  return {
    requests: report['2xx'] + report.non2xx,
    seconds: report.duration,
    failures: report.errors + (expectsSuccess(scenario) ? report.non2xx : report['2xx']),
  };
}

function expectsSuccess({ status }: MeasuredRequest): boolean {
  return status < 400;
}

function headerFlags(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
}
