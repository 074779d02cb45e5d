/**
 * Writes that gather while one is under way, so that a thousand small ones become a few large ones, and the first of
 * them does not wait:
 *
 *     put a ──> write [a] ............ written
 *     put b ─────────┐                    │
 *     put c ─────────┴─── gathered ───────┴──> write [b, c]
 *
 * At most one write is under way, and each item is in exactly one. What a write leaves out is not written again: whoever
 * handed it in is told, and it holds up nothing that came after it.
 */

export interface Batch<Item> {
  /** Hands an item in. Resolves when its turn is over, with whether it has been written. */
  put(item: Item): Promise<boolean>;
}

/**
 * `write` resolves with those of its items that it has written, and never rejects. It is given at most `most` at a time,
 * in the order they came.
 */
export function createBatch<Item>(
  write: (items: readonly Item[]) => Promise<ReadonlySet<Item>>,
  maxSize: number,
): Batch<Item> {
  let gathered: { readonly item: Item; readonly tell: (isWritten: boolean) => void }[] = [];
  let writing = false;

  async function writeAll(): Promise<void> {
    writing = true;
    while (gathered.length > 0) {
      const now = gathered.slice(0, maxSize);
      gathered = gathered.slice(maxSize);
      const written = await write(now.map(({ item }) => item));
      for (const { item, tell } of now) tell(written.has(item));
    }
    writing = false;
  }

  return {
    put(item) {
      return new Promise((tell) => {
        gathered.push({ item, tell });
        if (!writing) void writeAll();
      });
    },
  };
}
