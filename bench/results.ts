/** The record of a run: a JSON file below `bench/results/`, with all that it takes to judge it later. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { StartError } from '../src/errors.ts';
import { describePythonVersions } from './python.ts';
import { scenarioNames } from './scenarios.ts';

/** The result of one round of one variant and scenario. */
const sampleSchema = z.object({
  /** Microseconds of processor time of the server, user and system, over the requests it answered. */
  cpuMicros: z.number(),
  /** Of a server that is kept busy all the time. */
  requestsPerSecond: z.number(),
  /** Latencies at the run's fixed rate, from the moment a request was due. */
  p50Ms: z.number(),
  p99Ms: z.number(),
  p999Ms: z.number(),
  /** Resident memory at the end of the busy time, in units of 1,000,000 bytes. */
  residentMegabytes: z.number(),
  /** From the start of the process to its first answer. */
  startMs: z.number(),
});

export type Sample = z.output<typeof sampleSchema>;

const cellSchema = z.object({
  variant: z.string(),
  scenario: z.enum(scenarioNames),
  /** One a round. */
  samples: z.array(sampleSchema).min(1),
});

export type CellResult = z.output<typeof cellSchema>;

export const machineSchema = z.object({
  processor: z.string(),
  processors: z.number(),
  memoryBytes: z.number(),
  system: z.string(),
  /** The load average of the minute before the run: above 0, other processes were at work. */
  loadBefore: z.number(),
});

export type Machine = z.output<typeof machineSchema>;

/** How a run under load was made, whatever it measured. */
export const loadRunSchema = z.object({
  /** When the run began, ISO 8601, UTC. */
  date: z.string(),
  machine: machineSchema,
  /** Node, and every package that is measured. */
  versions: z.record(z.string(), z.string()),
  loadGenerator: z.string(),
  /** The processors of the server and of everything else; null where nothing could be pinned. */
  pinning: z.object({ server: z.number(), others: z.array(z.number()).readonly() }).nullable(),
  rounds: z.number(),
  /** Of busy load in each round; in a run with latencies as long again at the fixed rate. */
  seconds: z.number(),
});

export const resultsSchema = loadRunSchema.extend({
  /** Requests a second while latencies were measured. */
  rate: z.number(),
  cells: z.array(cellSchema),
  /** Scenarios that could not run here, with the reason; without a scenario, the whole variant. */
  notRun: z.array(
    z.object({ variant: z.string(), scenario: z.enum(scenarioNames).optional(), reason: z.string() }),
  ),
});

export type Results = z.output<typeof resultsSchema>;

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()} ${process.arch}`,
    loadBefore: loadavg()[0] ?? 0,
  };
}

const manifest = z.object({
  version: z.string(),
  dependencies: z.record(z.string(), z.string()).default({}),
});

/** The installed versions of the direct dependencies: of the project, of this folder, of the Python environment. */
export function describeVersions(): Record<string, string> {
  const versions: Record<string, string> = { node: process.version };
  for (const folder of [join(import.meta.dirname, '..'), import.meta.dirname]) {
    const { dependencies } = readManifest(join(folder, 'package.json'));
    for (const name of Object.keys(dependencies)) {
      versions[name] = readManifest(join(folder, 'node_modules', name, 'package.json')).version;
    }
  }
  return { ...versions, ...describePythonVersions() };
}

export const resultsFolder = join(import.meta.dirname, 'results');

/** Writes results below `bench/results/` and returns the path. Other kinds than the main one are named before the date. */
export function writeResults(results: { readonly date: string }, kind = 'main'): string {
  mkdirSync(resultsFolder, { recursive: true });
  const moment = results.date.replace(/:/g, '-').replace(/\.\d+/, '');
  const file = join(resultsFolder, `${kind === 'main' ? '' : `${kind}-`}${moment}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  return file;
}

/** The path of the newest file of a kind; undefined if there is none. */
export function findNewestResults(kind = 'main', folder = resultsFolder): string | undefined {
  const name = kind === 'main' ? /^\d{4}-.*\.json$/ : new RegExp(`^${kind}-\\d{4}-.*\\.json$`);
  const files = listFiles(folder).filter((file) => name.test(file));
  const newest = files.toSorted().at(-1);
  return newest === undefined ? undefined : join(folder, newest);
}

/** Reads a file that `writeResults` has written, of the kind that the schema describes. Throws a StartError otherwise. */
export function readResults<Kind>(file: string, schema: z.ZodType<Kind>): Kind {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new StartError(`${file} does not hold results of this version: remove it and measure again.`, {
      cause,
    });
  }
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readManifest(file: string): z.output<typeof manifest> {
  return manifest.parse(JSON.parse(readFileSync(file, 'utf8')));
}
