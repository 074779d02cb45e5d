import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Sample } from './measure.ts';
import type { Pinning } from './pinning.ts';
import type { Variant } from './variants.ts';

/** Everything that a run has found, with what it takes to judge it later. */
export interface Results {
  /** When the run began, ISO 8601, UTC. */
  readonly date: string;
  readonly machine: {
    readonly processor: string;
    readonly processors: number;
    readonly memoryBytes: number;
    readonly system: string;
    /** The load average of the minute before the run: above 0, somebody else was at work. */
    readonly loadBefore: number;
  };
  /** Node, and every package that is measured. */
  readonly versions: Readonly<Record<string, string>>;
  readonly loadGenerator: string;
  readonly pinning: Pinning | null;
  readonly seconds: number;
  readonly variants: readonly VariantResult[];
  /** Variants that could not be run here, and why. */
  readonly notRun: readonly { readonly name: string; readonly reason: string }[];
}

export interface VariantResult extends Pick<Variant, 'name' | 'title' | 'peer'> {
  /** One sample a round. */
  readonly samples: readonly Sample[];
}

export function describeMachine(): Results['machine'] {
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

/** The installed versions of the direct dependencies, of the project and of this folder. */
export function describeVersions(): Record<string, string> {
  const versions: Record<string, string> = { node: process.version };
  for (const folder of [join(import.meta.dirname, '..'), import.meta.dirname]) {
    const { dependencies } = readManifest(join(folder, 'package.json'));
    for (const name of Object.keys(dependencies)) {
      versions[name] = readManifest(join(folder, 'node_modules', name, 'package.json')).version;
    }
  }
  return versions;
}

/** Writes the results below `bench/results/` and returns the path. */
export function writeResults(results: Results): string {
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${results.date.replace(/:/g, '-').replace(/\.\d+/, '')}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  return file;
}

function readManifest(file: string): z.output<typeof manifest> {
  return manifest.parse(JSON.parse(readFileSync(file, 'utf8')));
}
