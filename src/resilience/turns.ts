/** A line in which work waits for its turn. */
export interface Turns {
  /** Whether so many are waiting that another one should not join them. */
  readonly isFull: boolean;
  /** Does the work when it is its turn, and settles as it does. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** Lets at most `concurrency` pieces of work run at a time; the others wait, in the order in which they came. */
export function createTurns(concurrency: number, maxWaiting = Number.POSITIVE_INFINITY): Turns {
  let free = concurrency;
  const waiting: (() => void)[] = [];
  return {
    get isFull() {
      return free === 0 && waiting.length >= maxWaiting;
    },
    async run(work) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}
