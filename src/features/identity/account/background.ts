import type { Logger } from '../../../observability/logger.ts';
import { runBeyondRequest } from '../../../observability/request-context.ts';

/**
 * Runs work after the response was sent, so that the response time reveals nothing about the work. Its log lines have the
 * request id, and the end of the request does not cancel it. A failure is only logged, and a stopping process may
 * interrupt the work: use it for work that the caller can request again. Returns false if too much work is running.
 */
export type InBackground = (work: () => Promise<void>) => boolean;

export function createBackground({
  log,
  capacity = 100,
}: {
  readonly log: Logger;
  readonly capacity?: number;
}): InBackground {
  let running = 0;

  return function inBackground(work) {
    if (running >= capacity) return false;
    running += 1;
    // On a later turn of the event loop, after the response was written.
    setImmediate(() => {
      runBeyondRequest(work)
        .catch((error: unknown) => log.error('mail.failed', { error }))
        .finally(() => {
          running -= 1;
        });
    });
    return true;
  };
}
