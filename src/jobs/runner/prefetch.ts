/**
 * How many jobs a runner claims. With long jobs no more than there are free threads: what one runner holds, no other
 * can begin. With short jobs a claim for each would take longer than the job, so what the threads get done in
 * `horizonMs` is claimed ahead and waits in memory. How long jobs take is learned from those that have ended.
 */

/** What a runner has, and what it has in its hands. */
export interface RunnerLoad {
  /** Threads that work or could. */
  readonly threads: number;
  /** Claimed, and waiting for a thread. */
  readonly waiting: number;
  readonly running: number;
  /** Ended, and not yet recorded as such. */
  readonly recording: number;
}

export interface Prefetch {
  /** Takes note of how long a job had its thread, in milliseconds. */
  note(durationMs: number): void;
  /** What was claimed ahead has waited too long: nothing more is, until jobs have proved short again. */
  stop(): void;
  /** How many jobs to claim now; 0 for none. */
  claimSize(load: RunnerLoad): number;
}

const horizonMs = 100;
/** More would not make a claim cheaper for each job. */
const maxAhead = 256;
/** What may wait to be recorded, before nothing more is claimed: the database is behind. */
const maxHeld = 2_048;
/** The weight of the last job in the average. */
const weight = 0.1;

/** Starts without an idea of how long jobs take, and so with nothing ahead. */
export function createPrefetch(): Prefetch {
  let averageMs = Number.POSITIVE_INFINITY;

  const ahead = (threads: number) =>
    averageMs >= horizonMs
      ? 0
      : Math.min(maxAhead, Math.floor((threads * horizonMs) / Math.max(averageMs, 0.01)));

  return {
    note(durationMs) {
      averageMs = averageMs === Number.POSITIVE_INFINITY ? durationMs : mix(averageMs, durationMs);
    },
    stop() {
      averageMs = 5 * horizonMs;
    },
    claimSize({ threads, waiting, running, recording }) {
      const most = ahead(threads);
      const wanted = threads + most - waiting - running;
      // Half of it at least, or the first job that ends would cause a claim for one.
      if (wanted < 1 + Math.floor(most / 2)) return 0;
      return Math.max(0, Math.min(wanted, maxHeld - waiting - running - recording));
    },
  };
}

function mix(average: number, value: number): number {
  return average + weight * (value - average);
}
