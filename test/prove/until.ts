import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when `condition` holds, asking again every few milliseconds. Throws an Error if it does not in time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`It did not come to this in ${deadlineMs} ms: ${what}.`);
    await delay(10);
  }
}
