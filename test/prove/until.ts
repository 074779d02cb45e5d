import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when `condition` holds; checks it every few milliseconds. Rejects with an Error after the deadline. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not reached within ${deadlineMs} ms: ${what}.`);
    await delay(10);
  }
}
