import type { Logger } from '../../../observability/logger.ts';
import { runBeyondRequest } from '../../../observability/request-context.ts';

/**
 * Does work after the request that asks for it, so that the time of the answer says nothing about the work. Its log
 * lines carry the request's id; the end of the request does not end it. A failure is logged and told to nobody, and the
 * end of the process may cut it off: it is for what somebody asks for again. False if too much of it is under way.
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
    // On a later turn of the event loop, when the answer is on its way.
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
