/**
 * Who has been silent for too long? A worker speaks every second, from its event loop; while that is blocked it
 * answers nobody and says nothing.
 *
 * Not every silence is the worker's: a primary that was itself stopped, or had no processor, has not listened. So a
 * check that comes late starts all clocks anew.
 */

export interface Watched {
  readonly state: string;
  /** When it last spoke, in milliseconds of the clock of `check`. */
  readonly heardAt: number;
}

export interface Watchdog<Worker extends Watched> {
  /** Those of the ready and draining that have said nothing for longer than `silenceMs`. To be asked every second. */
  check(workers: Iterable<Worker>, now: number, silenceMs: number): Worker[];
}

/** Between two checks this much may pass, in milliseconds, before the primary takes itself for the one that slept. */
const lateMs = 5_000;

export function createWatchdog<Worker extends Watched>(): Watchdog<Worker> {
  let checkedAt: number | undefined;
  let listeningSince = Number.NEGATIVE_INFINITY;
  return {
    check(workers, now, silenceMs) {
      if (checkedAt === undefined || now - checkedAt > lateMs) listeningSince = now;
      checkedAt = now;
      return [...workers].filter(
        ({ state, heardAt }) =>
          (state === 'ready' || state === 'draining') && now - Math.max(heardAt, listeningSince) > silenceMs,
      );
    },
  };
}
