import { withTimeout } from '../concurrency/with-timeout.ts';
import type { Logger } from '../observability/logger.ts';

/**
 * What was opened is closed in reverse order, each part within its own deadline: the server before the database that
 * its requests use, the database before the process that serves it. A part that does not close in time is left
 * behind with a log line, so that one stuck part cannot keep the others, and the process, from ending.
 */
export interface Lifecycle {
  /** Opens a part and remembers how to close it. What `open` throws goes to the caller. */
  open<T>(
    name: string,
    open: () => Promise<T>,
    close: (part: T) => Promise<unknown>,
    deadlineMs: number,
  ): Promise<T>;
  /**
   * Closes everything, within `withinMs` milliseconds if that is given: what then is still to be closed is told to, and
   * not waited for. Idempotent: a second call gets the first one's promise. Never rejects.
   */
  closeAll(withinMs?: number): Promise<void>;
}

interface Part {
  readonly name: string;
  readonly close: () => Promise<unknown>;
  readonly deadlineMs: number;
}

/** For a part whose turn comes when the time is up: what closes at once still does so in order. */
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
