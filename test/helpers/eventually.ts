import { setTimeout as delay } from 'node:timers/promises';

/** Checks `condition` every few milliseconds and resolves when it holds. Fails the test if that takes longer than 30 s. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`It did not come to this within 30 s: ${what}.`);
    await delay(5);
  }
}
