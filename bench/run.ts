/**
 * The benchmark: `npm run bench`. It proves that all variants do the same work, measures them in turns, and prints
 * what it found. A cell is a variant and what it is asked.
 *
 *     verify each variant
 *     round 1:  start and warm up A, B, C      a new server process for each cell
 *               busy, a second each:           A B C  C B A  A B C ...  each after a second that is not counted
 *               at a fixed rate:               A  B  C            -> stop them
 *     round 2:  ...
 *     medians, spreads, ratios -> bench/results/<date>.json, and the tables
 *
 * The principal figure is the processor time that a request costs the server, as the operating system counts it:
 * throughput swings with what else the machine does, the cost of a request hardly does. Each ratio is made of figures
 * of the same round.
 *
 * Failures: a variant of Strata that does not start, or any variant that does different work, stops the run. A framework
 * that cannot start here, or fails under load, is listed as not run, with its output; the others continue.
 */

import { join } from 'node:path';
import { StartError } from '../src/errors.ts';
import { type BenchDatabase, openBenchDatabase } from './database.ts';
import { guard } from './guard.ts';
import { benchJobs } from './jobs/run.ts';
import { benchLayers } from './layers.ts';
import { findLoadGenerator } from './load.ts';
import { measureRound } from './measure.ts';
import { benchMicro } from './micro/run.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { buildOwnPrograms } from './own-programs.ts';
import { pinProcesses } from './pinning.ts';
import { benchRejections } from './rejections.ts';
import { writeReport } from './report.ts';
import { describeMachine, describeVersions, type Results, type Sample, writeResults } from './results.ts';
import { scenarioNames } from './scenarios.ts';
import type { ServerProcessOptions } from './server-process.ts';
import { renderReport } from './table.ts';
import { type Cell, needsDatabase, type Variant } from './variants.ts';
import { verify } from './verify.ts';
import { measureWorkerPrice } from './worker-price.ts';

type NotRun = Results['notRun'];

/** The remaining work, and the work that cannot be done. */
interface Plan {
  readonly cells: readonly Cell[];
  readonly notRun: NotRun;
}

const interrupted = new AbortController();

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(usage);
    return;
  }
  // Not `once`: Ctrl+C under npm is two signals, and the servers are stopped after the first.
  const interrupt = () => interrupted.abort(new StartError('The benchmark was interrupted.'));
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  // The reader of a pipe has gone.
  for (const output of [process.stdout, process.stderr]) output.on('error', interrupt);
  if (options.command !== 'report') buildOwnPrograms();
  switch (options.command) {
    case 'jobs':
      return benchJobs(options);
    case 'layers':
      return benchLayers(options, interrupted.signal);
    case 'micro':
      return benchMicro(options, interrupted.signal);
    case 'report':
      return writeReport();
    case 'worker':
      return measureWorkerPrice(interrupted.signal);
    case 'rejections':
      return benchRejections(options, interrupted.signal);
    case 'guard':
      return guard(options, interrupted.signal);
    case 'verify':
    case 'measure':
      return benchVariants(options);
    default:
      throw new StartError(`The command "${options.command}" is not part of this copy of the benchmark.`);
  }
}

async function benchVariants(options: Options): Promise<void> {
  const machine = describeMachine();
  const pinning = pinProcesses();
  if (pinning === undefined) progress('not pinned: this machine has no taskset, or one processor only');

  const { database, ...wanted } = await openWhatIsNeeded(options.cells);
  try {
    const server = { pinning, databaseUrl: database?.url, signal: interrupted.signal };
    const plan = await verifyAll(wanted, server);
    if (options.command === 'verify') {
      for (const { variant, reason } of plan.notRun) console.log(`Not run: ${variant}. ${reason}`);
      console.log(`${variantsOf(plan.cells).map(nameOf).join(', ')}: all do the same work.`);
      return;
    }
    const results = await measureAll(plan, options, server, machine);
    console.log(`\n${renderReport(results)}\n`);
    progress(`written to ${writeResults(results)}`);
  } finally {
    await database?.stop();
  }
}

/** Opens the database if a cell reads from one. Where it cannot run, the other cells still can. */
async function openWhatIsNeeded(
  wanted: readonly Cell[],
): Promise<Plan & { readonly database: BenchDatabase | undefined }> {
  const readers = wanted.filter(needsDatabase);
  if (readers.length === 0) return { database: undefined, cells: wanted, notRun: [] };
  try {
    return { database: await openBenchDatabase(), cells: wanted, notRun: [] };
  } catch (error) {
    if (!(error instanceof StartError) || readers.length === wanted.length) throw error;
    progress(error.message);
    return {
      database: undefined,
      cells: wanted.filter((cell) => !needsDatabase(cell)),
      notRun: readers.map((cell) => notRun(cell, error.message)),
    };
  }
}

/** The cells of the variants that are here and do their work. Throws a StartError if one does other work. */
async function verifyAll(plan: Plan, server: ServerProcessOptions): Promise<Plan> {
  const errors: string[] = [];
  const missing = new Map<Variant, NotRun[number]>();
  for (const variant of variantsOf(plan.cells)) {
    progress(`verify ${variant.name}`);
    const questions = plan.cells.filter((cell) => cell.variant === variant).map(({ scenario }) => scenario);
    try {
      errors.push(...(await verify(variant, questions, server)));
    } catch (error) {
      missing.set(variant, { variant: variant.name, reason: reasonToGoOn(variant, error) });
    }
  }
  if (errors.length > 0) throw new StartError(`The variants do not do the same work:\n${errors.join('\n')}`);
  return {
    cells: plan.cells.filter(({ variant }) => !missing.has(variant)),
    notRun: [...plan.notRun, ...missing.values()],
  };
}

async function measureAll(
  plan: Plan,
  { rounds, seconds, warmUpSeconds, rate }: Options,
  server: ServerProcessOptions,
  machine: Results['machine'],
): Promise<Results> {
  const date = new Date().toISOString();
  const load = findLoadGenerator();
  const samples = new Map<Cell, Sample[]>(plan.cells.map((cell) => [cell, []]));
  const failed: NotRun = [];
  const startedAt = performance.now();
  let done = 0;
  for (let round = 1; round <= rounds; round += 1) {
    for (const question of scenarioNames) {
      const compared = [...samples.keys()].filter(({ scenario }) => scenario.name === question);
      if (compared.length === 0) continue;
      progress(`round ${round} of ${rounds}: ${question}, ${compared.length} servers`);
      const found = await measureRound(compared, { ...server, load, seconds, warmUpSeconds, rate });
      for (const [cell, sample] of found) {
        const name = `${cell.variant.name} ${question}`;
        if (sample instanceof StartError) {
          const reason = reasonToGoOn(cell.variant, sample);
          progress(`${name} is left out: ${reason}`);
          failed.push(notRun(cell, reason));
          done -= samples.get(cell)?.length ?? 0;
          samples.delete(cell);
        } else {
          samples.get(cell)?.push(sample);
          done += 1;
          progress(`round ${round} of ${rounds}: ${name}: ${describe(sample)}`);
        }
      }
      const left = ((performance.now() - startedAt) / done) * (samples.size * rounds - done);
      progress(`${describeTime(left)} left`);
    }
  }
  return {
    ...{ date, machine, versions: describeVersions(), loadGenerator: load.name },
    ...{ pinning: server.pinning ?? null, rounds, seconds, rate },
    cells: [...samples].map(([{ variant, scenario }, own]) => ({
      variant: variant.name,
      scenario: scenario.name,
      samples: own,
    })),
    notRun: [...plan.notRun, ...failed],
  };
}

/** Work that a framework could not do is listed; any other failure stops the run. */
function reasonToGoOn(variant: Variant, error: unknown): string {
  if (variant.ours || interrupted.signal.aborted || !(error instanceof StartError)) throw error;
  return summariseComplaint(error.message);
}

/** The line of a crashed program's output that names the error, without the path of the folder. */
function summariseComplaint(message: string): string {
  const line = message.match(/^\w*Error\b.*$/m)?.[0] ?? message;
  return line.replaceAll(join(import.meta.dirname, '..', '/'), '').trim();
}

function notRun({ variant, scenario }: Cell, reason: string): NotRun[number] {
  return { variant: variant.name, scenario: scenario.name, reason };
}

function variantsOf(cells: readonly Cell[]): Variant[] {
  return [...new Set(cells.map(({ variant }) => variant))];
}

function nameOf({ name }: Variant): string {
  return name;
}

function describe({ cpuMicros, requestsPerSecond, p99Ms }: Sample): string {
  return `${cpuMicros.toFixed(1)} µs a request, ${requestsPerSecond.toFixed(0)} requests/s, p99 ${p99Ms.toFixed(1)} ms`;
}

function describeTime(milliseconds: number): string {
  return milliseconds < 90_000
    ? `${Math.ceil(milliseconds / 1000)} s`
    : `${Math.ceil(milliseconds / 60_000)} min`;
}

function progress(text: string): void {
  console.error(`bench: ${text}`);
}

main().catch((error: unknown) => {
  const cause: unknown = interrupted.signal.aborted ? interrupted.signal.reason : error;
  console.error(cause instanceof StartError ? cause.message : cause);
  process.exitCode = 1;
});
