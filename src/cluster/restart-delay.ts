/** How long to wait before a worker that died is replaced, so that one that dies at every start makes no storm. */
export interface RestartDelay {
  /** Notes a death, of a worker that had been ready for so long, in milliseconds; 0 if it never was. */
  afterDeath(readyMs: number): { readonly delayMs: number; readonly deathsInRow: number };
}

const firstMs = 100;
const longestMs = 30_000;

/** A worker that was ready for this long died of something that another start may not meet. */
const stableMs = 10_000;

/** The delay doubles with each death: 0.1 s, 0.2 s ... 30 s. One that comes after a stable time is the first again. */
export function createRestartDelay(): RestartDelay {
  let deathsInRow = 0;
  return {
    afterDeath(readyMs) {
      deathsInRow = readyMs >= stableMs ? 1 : deathsInRow + 1;
      return { delayMs: Math.min(firstMs * 2 ** (deathsInRow - 1), longestMs), deathsInRow };
    },
  };
}
