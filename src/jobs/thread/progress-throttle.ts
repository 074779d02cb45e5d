import type { Progress } from './thread-messages.ts';

export interface ProgressThrottle {
  /** Takes what the task says of itself. */
  note(progress: Progress): void;
  /** Sends what is still held back, at once. */
  flush(): void;
}

/**
 * Lets through what a task says of its progress at most once in `everyMs`: the first at once, and of what comes in
 * between the last one, when the time is up. A task that never gives way has no timers; it is looked at when it says
 * something again.
 */
export function createProgressThrottle(
  send: (progress: Progress) => void,
  everyMs: number,
): ProgressThrottle {
  let held: Progress | undefined;
  let sentAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (held === undefined) return;
    send(held);
    held = undefined;
    sentAt = performance.now();
  }

  return {
    note(progress) {
      held = progress;
      const waitMs = sentAt + everyMs - performance.now();
      if (waitMs <= 0) flush();
      else timer ??= setTimeout(flush, waitMs);
    },
    flush,
  };
}
