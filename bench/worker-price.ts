/**
 * `npm run bench -- worker`: what a request costs when a worker answers it, with its primary and the limit that they share,
 * beside one that the single process answers. Both are busy at the same time (`measureTogether`): the difference is smaller
 * than that between two seconds of a machine which others use too.
 */

import { findLoadGenerator } from './load.ts';
import { measureTogether } from './measure.ts';
import { pinProcesses } from './pinning.ts';
import { doubt, summarise } from './statistics.ts';
import { ours, principalCell } from './variants.ts';

const rounds = 12;
const load = { seconds: 2, warmUpSeconds: 6 };
const maxRatio = 1.1;

/** Measures and prints. Throws a StartError if requests fail. */
export async function measureWorkerPrice(signal: AbortSignal): Promise<void> {
  const options = {
    ...{ ...load, databaseUrl: undefined, signal },
    pinning: pinProcesses(),
    load: findLoadGenerator(),
  };
  const cells = [ours, 'strata-worker'].map(principalCell);
  const ratios: number[] = [];
  for (const [single, worker] of await measureTogether(cells, rounds, options)) {
    if (single !== undefined && worker !== undefined) ratios.push(worker.cpuMicros / single.cpuMicros);
  }
  const summary = summarise(ratios);
  const remark = doubt(summary);
  const verdict = remark ?? (summary.median <= maxRatio ? 'met' : 'not met');
  console.log(
    `A worker and its primary take ${summary.median.toFixed(2)} x the processor time of the single process (at most ${maxRatio} x): ${verdict}.`,
  );
}
