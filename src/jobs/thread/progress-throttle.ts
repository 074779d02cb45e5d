import type { Progress } from './thread-messages.ts';

export interface ProgressThrottle {
  /** Adds a progress of the task. */
  add(progress: Progress): void;
  /** Sends the progress that is held back, at once. */
  flush(): void;
}

/**
 * Sends the progress of a task at most once per `everyMs`: the first at once, then the latest of each interval. In a
 * task that blocks the event loop no timer fires; its progress is sent when it reports again after the interval.
 */
export function createProgressThrottle(
  send: (progress: Progress) => void,
  everyMs: number,
): ProgressThrottle {
  let pending: Progress | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (pending === undefined) return;
    send(pending);
    pending = undefined;
    sentAt = performance.now();
  }

  return {
    add(progress) {
      pending = progress;
      const waitMs = sentAt + everyMs - performance.now();
      if (waitMs <= 0) flush();
      else timer ??= setTimeout(flush, waitMs);
    },
    flush,
  };
}
