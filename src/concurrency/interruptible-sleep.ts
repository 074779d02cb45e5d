/** A sleep that others can shorten: a poll loop sleeps between polls, and wakes early when there is work to do. */
export interface InterruptibleSleep {
  /** Resolves after `ms`, or earlier if it is woken. A second sleeper wakes the first: only one sleeps at a time. */
  for(ms: number): Promise<void>;
  /** Ends the current sleep after at most `ms`; if nothing sleeps, the next one. */
  wakeWithin(ms: number): void;
  /** Ends the current sleep at once; if nothing sleeps, the next one. */
  wake(): void;
}

export function createInterruptibleSleep(): InterruptibleSleep {
  let dueAt = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let resolveSleep: (() => void) | undefined;

  function wakeWithin(ms: number): void {
    dueAt = Math.min(dueAt, performance.now() + ms);
    if (resolveSleep === undefined) return;
    clearTimeout(timer);
    timer = setTimeout(end, Math.max(0, dueAt - performance.now()));
  }

  function end(): void {
    dueAt = Number.POSITIVE_INFINITY;
    resolveSleep?.();
    resolveSleep = undefined;
  }

  return {
    for(ms) {
      resolveSleep?.();
      return new Promise((resolve) => {
        resolveSleep = resolve;
        wakeWithin(ms);
      });
    },
    wakeWithin,
    wake: () => wakeWithin(0),
  };
}
