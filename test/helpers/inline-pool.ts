import type { AbortReason, Attempt, Outcome, Progress } from '../../src/jobs/thread/thread-messages.ts';
import type { ThreadPool } from '../../src/jobs/thread/thread-pool.ts';

/** What a task is given here: no thread, no context, only what a runner can notice. */
export interface InlineContext {
  /** Aborted with the reason, as a string. */
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
}

/**
 * A pool whose "threads" are functions of this process. An attempt that is aborted ends at once, as with a thread that
 * is ended; what its function does afterwards counts for nothing.
 */
export function inlinePool(
  size: number,
  work: (attempt: Attempt, context: InlineContext) => Outcome | Promise<Outcome>,
): ThreadPool & { readonly aborted: { readonly id: number; readonly reason: AbortReason }[] } {
  const underWay = new Map<number, (reason: AbortReason) => void>();
  const aborted: { id: number; reason: AbortReason }[] = [];
  const abort = (id: number, reason: AbortReason) => underWay.get(id)?.(reason);
  return {
    size,
    aborted,
    free: () => size - underWay.size,
    onFree() {},
    async run(attempt, onProgress) {
      const controller = new AbortController();
      const ended = new Promise<Outcome>((resolve) => {
        underWay.set(attempt.id, (reason) => {
          aborted.push({ id: attempt.id, reason });
          controller.abort(reason);
          resolve({ kind: 'aborted', reason });
        });
      });
      const worked = Promise.resolve(work(attempt, { signal: controller.signal, progress: onProgress }));
      const outcome = await Promise.race([worked, ended]);
      underWay.delete(attempt.id);
      return outcome;
    },
    abort,
    async close() {
      for (const id of underWay.keys()) abort(id, 'drain');
    },
  };
}

/** The outcome of a task that returned a value. */
export function returned(value: unknown = null): Outcome {
  return { kind: 'returned', result: value === null ? null : JSON.stringify(value) };
}

/** A task that ends only when it is told to. */
export function endless(): Promise<Outcome> {
  return new Promise(() => {});
}
