import { outcomeOfAbort } from '../../src/jobs/thread/outcome.ts';
import type { AbortReason, Attempt, Outcome, Progress } from '../../src/jobs/thread/thread-messages.ts';
import type { ThreadPool } from '../../src/jobs/thread/thread-pool.ts';

/** The context of a function that replaces a task: only what a runner can observe. */
export interface InlineContext {
  /** Aborted with the reason as a string. */
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
}

/**
 * Creates a pool whose "threads" are functions of this process. An aborted attempt fails at once, like that of a terminated
 * thread; what its function does afterwards is ignored.
 */
export function inlinePool(
  size: number,
  work: (attempt: Attempt, context: InlineContext) => Outcome | Promise<Outcome>,
): ThreadPool & { readonly aborted: { readonly id: number; readonly reason: AbortReason }[] } {
  const running = new Map<number, (reason: AbortReason) => void>();
  const aborted: { id: number; reason: AbortReason }[] = [];
  const abort = (id: number, reason: AbortReason) => running.get(id)?.(reason);
  return {
    size,
    aborted,
    free: () => size - running.size,
    onFree() {},
    async run(attempt, onProgress) {
      const controller = new AbortController();
      const ended = new Promise<Outcome>((resolve) => {
        running.set(attempt.id, (reason) => {
          aborted.push({ id: attempt.id, reason });
          controller.abort(reason);
          resolve(outcomeOfAbort(reason, attempt.timeoutMs));
        });
      });
      const worked = Promise.resolve(work(attempt, { signal: controller.signal, progress: onProgress }));
      const outcome = await Promise.race([worked, ended]);
      running.delete(attempt.id);
      return outcome;
    },
    abort,
    async close() {
      for (const id of running.keys()) abort(id, 'drain');
    },
  };
}

/** Returns the outcome of a task that returned `value`. */
export function returned(value: unknown = null): Outcome {
  return { kind: 'returned', result: value === null ? null : JSON.stringify(value) };
}

/** A task that stops only when it is aborted. */
export function endless(): Promise<Outcome> {
  return new Promise(() => {});
}
