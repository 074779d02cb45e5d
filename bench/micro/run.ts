/**
 * `npm run bench -- micro`: single parts of the program against packages that do the same, without a server. Each bench
 * is a file of plain JavaScript beside this one and runs in a process of its own, on the processor that servers are
 * measured on: it checks that all contestants find the same, and times them (`timing.mjs`).
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { StartError } from '../../src/errors.ts';
import type { Options } from '../options.ts';
import { builtCommand } from '../own-programs.ts';
import { type Pinning, pinProcesses, pinToServer } from '../pinning.ts';
import { describeMachine, describeVersions, writeResults } from '../results.ts';
import { type MicroCase, microCaseSchema, renderMicro, summariseMicro } from './results.ts';

/** The files; one of them runs once for each contestant. */
const benches = [
  { file: 'router.mjs' },
  { file: 'compose.mjs' },
  { file: 'tokens.mjs' },
  { file: 'limiter.mjs' },
  { file: 'limiter-memory.mjs', flag: '--expose-gc', contestant: 'Strata' },
  { file: 'limiter-memory.mjs', flag: '--expose-gc', contestant: 'rate-limiter-flexible' },
  { file: 'cache.mjs' },
  { file: 'serialisation.mjs' },
  { file: 'log-lines.mjs' },
] as const;

/** How long one contestant is timed in a round. */
const batchMs = { quick: 25, full: 100 } as const;

/** Measures, prints the table, and writes the figures. Throws a StartError if a bench fails. */
export async function benchMicro({ quick, rounds }: Options, signal: AbortSignal): Promise<void> {
  const machine = describeMachine();
  const date = new Date().toISOString();
  const pinning = pinProcesses();
  const env = {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    BENCH_ROUNDS: String(rounds),
    BENCH_BATCH_MS: String(quick ? batchMs.quick : batchMs.full),
  };
  const cases: MicroCase[] = [];
  for (const bench of benches) {
    const name = 'contestant' in bench ? `${bench.file} ${bench.contestant}` : bench.file;
    console.error(`bench: ${name}`);
    cases.push(...(await runBench(bench, env, pinning, signal)));
  }
  const results = { date, machine, versions: describeVersions(), rounds, ...summariseMicro(cases) };
  console.log(`\n${renderMicro(results)}\n`);
  console.error(`bench: written to ${writeResults(results, 'micro')}`);
}

/** Runs one file to its end and collects what it reports. */
async function runBench(
  bench: (typeof benches)[number],
  env: NodeJS.ProcessEnv,
  pinning: Pinning | undefined,
  signal: AbortSignal,
): Promise<MicroCase[]> {
  signal.throwIfAborted();
  const program = builtCommand(join(import.meta.dirname, bench.file));
  const words = 'flag' in bench ? [bench.flag, ...program, bench.contestant] : program;
  const [file, ...args] = pinToServer([process.execPath, ...words], pinning);
  // Standard output is the null device: log lines are one of the things that are measured.
  const child = spawn(file, args, { env, signal, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const cases: MicroCase[] = [];
  child.on('message', (message) => cases.push(microCaseSchema.parse(message)));
  const [code] = await once(child, 'close');
  if (code !== 0 || cases.length === 0) {
    throw new StartError(`${bench.file} failed: see its output above.`);
  }
  return cases;
}
