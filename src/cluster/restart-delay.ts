/** How long to wait before a worker that died is replaced, so that workers that die again and again make no storm. */
export interface RestartDelay {
  /** Notes a death, of a worker that had been ready for so long, in milliseconds; 0 if it never was. */
  afterDeath(readyMs: number): { readonly delayMs: number; readonly deathsInRow: number };
}

const firstMs = 100;
/** For a worker that never was ready: what prevents its start will probably prevent the next one too. */
const maxMs = 30_000;
/** For a worker that was ready: the next one serves until it meets the same request or job, so it must come soon. */
const maxAfterReadyMs = 1_000;

/** The cause of a death after so long a time as ready is probably not in the start. */
const stableMs = 10_000;

/**
 * The delay doubles with each death in a row, from 0.1 s up to 30 s, or up to 1 s if the worker had been ready. A death
 * after ten seconds as ready is the first of a new row.
 */
export function createRestartDelay(): RestartDelay {
  let deathsInRow = 0;
  return {
    afterDeath(readyMs) {
      deathsInRow = readyMs >= stableMs ? 1 : deathsInRow + 1;
      const max = readyMs > 0 ? maxAfterReadyMs : maxMs;
      return { delayMs: Math.min(firstMs * 2 ** (deathsInRow - 1), max), deathsInRow };
    },
  };
}
