export interface Proof {
  /** A sentence for each failure. */
  readonly failures: string[];
  /** Calls functions after the proof, the last one first, as `t.after` of a test does. */
  readonly atEnd: { after(end: () => unknown): void };
  /** Runs the proof, cleans up, prints the failures, and exits: with 1 if there are any, and with 0 otherwise. */
  run(prove: () => Promise<void>): Promise<never>;
}

export function createProof(): Proof {
  const failures: string[] = [];
  const ends: (() => unknown)[] = [];
  return {
    failures,
    atEnd: { after: (end) => void ends.unshift(end) },
    async run(prove) {
      try {
        await prove();
      } catch (error) {
        failures.push(String(error instanceof Error ? error.stack : error));
      } finally {
        for (const end of ends) await end();
      }
      for (const failure of failures) console.error(`FAILED: ${failure}`);
      process.exit(failures.length > 0 ? 1 : 0);
    },
  };
}
