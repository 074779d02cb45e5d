/**
 * The benchmark: `npm run bench`. It proves that all variants do the same work, measures them in turns, and prints
 * what it found.
 *
 *     verify each variant
 *     round 1:  A  B  C ...      a new server process each time:
 *     round 2:  A  B  C ...        start -> warm up -> load -> stop
 *     ...
 *     medians, spreads, ratios -> bench/results/<date>.json, and the table
 *
 * The principal figure is the processor time that a request costs the server, as the operating system counts it:
 * throughput swings with what else the machine does, the cost of a request hardly does. Each ratio is made of figures
 * that were measured one after the other, in the same round.
 */

import { StartError } from '../src/errors.ts';
import { type BenchDatabase, openBenchDatabase } from './database.ts';
import { benchJobs } from './jobs/run.ts';
import { findLoadGenerator } from './load.ts';
import { measure, type Sample } from './measure.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { pinProcesses } from './pinning.ts';
import { describeMachine, describeVersions, type Results, writeResults } from './results.ts';
import type { ServerProcessOptions } from './server-process.ts';
import { renderReport } from './table.ts';
import type { Variant } from './variants.ts';
import { verify } from './verify.ts';

const interrupted = new AbortController();

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    console.log(usage);
    return;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.abort(new StartError('The benchmark was interrupted.')));
  }
  if (options.command === 'jobs') return benchJobs(options);
  const machine = describeMachine();
  const pinning = pinProcesses();
  if (pinning === undefined) progress('not pinned: this machine has no taskset, or one processor only');

  const { database, variants, notRun } = await openWhatIsNeeded(options.variants);
  try {
    const server = { pinning, databaseUrl: database?.url, signal: interrupted.signal };
    await verifyAll(variants, server);
    if (options.command === 'verify') {
      console.log(`${variants.map(({ name }) => name).join(', ')}: all do the same work.`);
      return;
    }
    const results = { ...(await measureAll({ ...options, variants }, server, machine)), notRun };
    console.log(`\n${renderReport(results)}\n`);
    progress(`written to ${writeResults(results)}`);
  } finally {
    await database?.stop();
  }
}

/** Opens the database if a variant reads from one. Where it cannot run, the other variants still can. */
async function openWhatIsNeeded(wanted: readonly Variant[]): Promise<{
  readonly database: BenchDatabase | undefined;
  readonly variants: readonly Variant[];
  readonly notRun: Results['notRun'];
}> {
  const readers = wanted.filter(({ database }) => database);
  if (readers.length === 0) return { database: undefined, variants: wanted, notRun: [] };
  try {
    return { database: await openBenchDatabase(), variants: wanted, notRun: [] };
  } catch (error) {
    if (!(error instanceof StartError) || readers.length === wanted.length) throw error;
    progress(error.message);
    return {
      database: undefined,
      variants: wanted.filter(({ database }) => !database),
      notRun: readers.map(({ name }) => ({ name, reason: error.message })),
    };
  }
}

async function verifyAll(variants: readonly Variant[], options: ServerProcessOptions): Promise<void> {
  const faults: string[] = [];
  for (const variant of variants) {
    progress(`verify ${variant.name}`);
    faults.push(...(await verify(variant, options)));
  }
  if (faults.length > 0) throw new StartError(`The variants do not do the same work:\n${faults.join('\n')}`);
}

async function measureAll(
  { variants, rounds, seconds, warmUpSeconds }: Options,
  server: ServerProcessOptions,
  machine: Results['machine'],
): Promise<Omit<Results, 'notRun'>> {
  const date = new Date().toISOString();
  const load = findLoadGenerator();
  const samples = new Map<Variant, Sample[]>(variants.map((variant) => [variant, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [variant, own] of samples) {
      const sample = await measure(variant, { ...server, load, seconds, warmUpSeconds });
      own.push(sample);
      const { cpuMicros, requestsPerSecond } = sample;
      progress(
        `round ${round} of ${rounds}: ${variant.name} ${cpuMicros.toFixed(1)} µs a request, ${requestsPerSecond.toFixed(0)} requests/s`,
      );
    }
  }
  return {
    date,
    machine,
    versions: describeVersions(),
    loadGenerator: load.name,
    pinning: server.pinning ?? null,
    seconds,
    variants: [...samples].map(([{ name, title, peer }, own]) => ({
      name,
      title,
      ...(peer !== undefined && { peer }),
      samples: own,
    })),
  };
}

function progress(text: string): void {
  console.error(`bench: ${text}`);
}

main().catch((error: unknown) => {
  const cause: unknown = interrupted.signal.aborted ? interrupted.signal.reason : error;
  console.error(cause instanceof StartError ? cause.message : cause);
  process.exitCode = 1;
});
