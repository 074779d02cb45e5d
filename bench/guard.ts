/**
 * `npm run bench -- guard`: have the ratios to `bare` got worse than those of `guard.json`? Ratios and not times, because the
 * machine that asks is seldom the one that committed; and all servers busy at once, because on a machine that others use too
 * a second is not worth as much as the one after it.
 *
 *     5 rounds of bare, strata, strata-routing -> all held: passes
 *     else 8 rounds more, all judged together  -> held: passes; lost: fails; uncertain: prints that, and passes
 *
 * It fails only on a loss that all rounds together show; a machine too restless to show one does not make a change
 * fail, and is named as such. The whole takes less than 90 seconds.
 */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { StartError } from '../src/errors.ts';
import { decide, highestRatio } from './guard-decision.ts';
import { findLoadGenerator } from './load.ts';
import { type BusyOptions, measureTogether, processorShareOf } from './measure.ts';
import type { Options } from './options.ts';
import { pinProcesses } from './pinning.ts';
import { readResults } from './results.ts';
import { doubt, summarise } from './statistics.ts';
import { floor, ours, principalCell } from './variants.ts';

const guarded = [ours, 'strata-routing'] as const;
const firstRounds = 5;
const moreRounds = 8;
/** Three servers share the processor: each has a third of the warm-up. */
const load = { seconds: 2, warmUpSeconds: 12 };

const committedSchema = z.object({
  /** Where and when the ratios were measured, for the reader. */
  date: z.string(),
  node: z.string(),
  /** By variant, the median of processor time over that of `bare`, in the principal scenario. */
  ratios: z.record(z.enum(guarded), z.number().positive()),
});

type Guarded = (typeof guarded)[number];

/** One figure a round: the ratio to `bare`, and the share of the processor that the busy servers had. */
type Ratios = Readonly<Record<Guarded, number[]>> & { readonly shares: number[] };

/** Throws a StartError if a ratio has been lost, or if there is none to compare with. */
export async function guard(
  { update }: Pick<Options, 'update'>,
  signal: AbortSignal,
  file = join(import.meta.dirname, 'guard.json'),
): Promise<void> {
  if (!update && !existsSync(file)) {
    throw new StartError(
      'There is no bench/guard.json to compare with: run `npm run bench -- guard --update` on a quiet machine, and commit it.',
    );
  }
  const committed = update ? undefined : readResults(file, committedSchema).ratios;
  const options = {
    ...load,
    pinning: pinProcesses(),
    databaseUrl: undefined,
    signal,
    load: findLoadGenerator(),
  };
  const ratios: Ratios = { strata: [], 'strata-routing': [], shares: [] };
  await measureRounds(firstRounds, ratios, options);
  if (committed === undefined) {
    await measureRounds(moreRounds, ratios, options);
    return commitTo(ratios, file);
  }
  if (guarded.some((name) => decide(ratios[name], committed[name], ratios.shares) !== 'held')) {
    console.error('bench: not held after the first rounds: measuring more of them');
    await measureRounds(moreRounds, ratios, options);
  }
  conclude(ratios, committed);
}

async function measureRounds(rounds: number, ratios: Ratios, options: BusyOptions): Promise<void> {
  const cells = [floor, ...guarded].map(principalCell);
  for (const [reference, ...samples] of await measureTogether(cells, rounds, options)) {
    if (reference === undefined) continue;
    const line: string[] = [];
    for (const [index, name] of guarded.entries()) {
      const ratio = (samples[index]?.cpuMicros ?? Number.NaN) / reference.cpuMicros;
      ratios[name].push(ratio);
      line.push(`${name} ${ratio.toFixed(2)} x ${floor}`);
    }
    ratios.shares.push(processorShareOf([reference, ...samples]));
    console.error(`bench: ${line.join(', ')}`);
  }
}

function commitTo(ratios: Ratios, file: string): void {
  for (const name of guarded) {
    const remark = doubt(summarise(ratios[name]));
    if (remark === undefined) continue;
    throw new StartError(
      `The ratio of ${name} is too uncertain to commit to (${remark}): run it on a machine that does nothing else.`,
    );
  }
  const medians = guarded.map((name) => [name, Number(summarise(ratios[name]).median.toFixed(3))]);
  const committed = {
    date: new Date().toISOString(),
    node: process.version,
    ratios: Object.fromEntries(medians),
  };
  writeFileSync(file, `${JSON.stringify(committed, null, 2)}\n`);
  console.log(`Committed to ${describeRatios(ratios)}: ${file}`);
}

function conclude(ratios: Ratios, committed: Readonly<Record<Guarded, number>>): void {
  const judged = guarded.map((name) => ({
    name,
    decision: decide(ratios[name], committed[name], ratios.shares),
  }));
  for (const { name, decision } of judged) {
    const most = highestRatio(committed[name]).toFixed(2);
    const measured = summarise(ratios[name]).median.toFixed(2);
    console.log(
      `${name}: ${measured} x ${floor}, committed ${committed[name].toFixed(2)}, at most ${most}: ${decision}`,
    );
    if (decision !== 'uncertain') continue;
    console.log(
      `NOTHING IS PROVEN about ${name}: this machine is too busy, or its rounds differ too much, to distinguish a loss from noise. This does not count as a loss.`,
    );
  }
  const lost = judged.filter(({ decision }) => decision === 'lost').map(({ name }) => name);
  if (lost.length === 0) return;
  throw new StartError(
    `Beside ${floor}, a request costs over 15 % more than committed in ${lost.join(' and ')}: make it cheaper, or run \`npm run bench -- guard --update\` and give the reason in the commit.`,
  );
}

function describeRatios(ratios: Ratios): string {
  return guarded.map((name) => `${name} ${summarise(ratios[name]).median.toFixed(2)} x ${floor}`).join(', ');
}
