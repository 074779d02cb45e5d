/** A wait that somebody else can cut short, so that what is asked for now and then is also asked for when it is due. */
export interface Alarm {
  /** Resolves after `ms`, or earlier as the other functions say. One waits at a time. */
  wait(ms: number): Promise<void>;
  /** Ends the wait after `ms` at the latest; with nobody waiting, the next one. */
  within(ms: number): void;
  /** Ends the wait at once; with nobody waiting, the next one. */
  ring(): void;
}

export function createAlarm(): Alarm {
  let dueAt = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let wake: (() => void) | undefined;

  function within(ms: number): void {
    dueAt = Math.min(dueAt, performance.now() + ms);
    if (wake === undefined) return;
    clearTimeout(timer);
    timer = setTimeout(end, Math.max(0, dueAt - performance.now()));
  }

  function end(): void {
    dueAt = Number.POSITIVE_INFINITY;
    wake?.();
    wake = undefined;
  }

  return {
    wait(ms) {
      return new Promise((resolve) => {
        wake = resolve;
        within(ms);
      });
    },
    within,
    ring: () => within(0),
  };
}
