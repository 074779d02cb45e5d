import { withTimeout } from '../concurrency/with-timeout.ts';
import type { Logger } from '../observability/logger.ts';

/**
 * Closes opened parts in reverse order, each within its own deadline: the server before the database that its requests
 * use, the connections before the embedded PostgreSQL. A part that does not close in time is logged and abandoned, so that
 * one stuck part cannot prevent the others from closing, or the process from exiting.
 */
export interface Lifecycle {
  /** Opens a part and records how to close it. Rejects as `open` does. */
  open<T>(
    name: string,
    open: () => Promise<T>,
    close: (part: T) => Promise<unknown>,
    deadlineMs: number,
  ): Promise<T>;
  /**
   * Closes all parts within `withinMs` milliseconds, if given. Parts left after that are closed too, but not awaited.
   * Idempotent: a second call returns the first promise. Never rejects.
   */
  closeAll(withinMs?: number): Promise<void>;
}

interface Part {
  readonly name: string;
  readonly close: () => Promise<unknown>;
  readonly deadlineMs: number;
}

/** The time for each part after the limit has passed: parts that close at once still close in order. */
const minMs = 10;

export function createLifecycle(log: Logger): Lifecycle {
  const parts: Part[] = [];
  let closing: Promise<void> | undefined;

  async function closeParts(withinMs: number): Promise<void> {
    const endAt = performance.now() + withinMs;
    for (const part of parts.toReversed()) {
      const leftMs = Math.max(minMs, endAt - performance.now());
      try {
        const deadlineMs = Math.min(part.deadlineMs, leftMs);
        await withTimeout(part.close(), deadlineMs, () => {
          throw new Error(`${part.name} did not close within ${Math.round(deadlineMs)} ms.`);
        });
      } catch (error) {
        log.error('application.failed', { part: part.name, step: 'close', error });
      }
    }
  }

  return {
    async open(name, open, close, deadlineMs) {
      const part = await open();
      parts.push({ name, close: () => close(part), deadlineMs });
      return part;
    },
    closeAll(withinMs = Number.POSITIVE_INFINITY) {
      closing ??= closeParts(withinMs);
      return closing;
    },
  };
}
