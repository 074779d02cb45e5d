import { setTimeout as delay } from 'node:timers/promises';

/** Resolves when `condition` holds, asking again every few milliseconds. Fails the test if it does not within 30 s. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`It did not come to this within 30 s: ${what}.`);
    await delay(5);
  }
}
