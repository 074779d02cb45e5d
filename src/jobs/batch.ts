/**
 * Writes that gather while one is under way, so that a thousand small ones become a few large ones, and the first of
 * them does not wait:
 *
 *     put a ──> write [a] ............ written
 *     put b ─────────┐                    │
 *     put c ─────────┴─── gathered ───────┴──> write [b, c]
 *
 * At most one write is under way, and each item is in exactly one.
 */

export interface Batch<Item> {
  /** Hands an item in. Resolves when it has been written. */
  put(item: Item): Promise<void>;
}

/** `write` never rejects. It is given at most `most` items at a time, in the order they came. */
export function createBatch<Item>(
  write: (items: readonly Item[]) => Promise<void>,
  most: number,
): Batch<Item> {
  let gathered: { readonly item: Item; readonly written: () => void }[] = [];
  let writing = false;

  async function writeAll(): Promise<void> {
    writing = true;
    while (gathered.length > 0) {
      const now = gathered.slice(0, most);
      gathered = gathered.slice(most);
      await write(now.map(({ item }) => item));
      for (const { written } of now) written();
    }
    writing = false;
  }

  return {
    put(item) {
      return new Promise((written) => {
        gathered.push({ item, written });
        if (!writing) void writeAll();
      });
    },
  };
}
