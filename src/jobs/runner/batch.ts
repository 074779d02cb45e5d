/**
 * Batches writes: items that arrive while a write is in progress are written together by the next one. A thousand small
 * writes become a few large ones, and the first item does not wait for others:
 *
 *     add a ──> write [a] ............ written
 *     add b ─────────┐                    │
 *     add c ─────────┴──── collected ─────┴──> write [b, c]
 *
 * At most one write is in progress, and each item is in exactly one write. An item that a write leaves out is not
 * written again: its caller gets `false` and decides, so it does not delay later items.
 */

export interface Batch<Item> {
  /** Adds an item. Resolves when its write has finished, with whether the item was written. */
  add(item: Item): Promise<boolean>;
}

/**
 * `write` gets at most `maxSize` items in the order in which they were added, resolves with those that it has written,
 * and must not reject.
 */
export function createBatch<Item>(
  write: (items: readonly Item[]) => Promise<ReadonlySet<Item>>,
  maxSize: number,
): Batch<Item> {
  let collected: { readonly item: Item; readonly resolve: (isWritten: boolean) => void }[] = [];
  let writing = false;

  async function writeAll(): Promise<void> {
    writing = true;
    while (collected.length > 0) {
      const batch = collected.slice(0, maxSize);
      collected = collected.slice(maxSize);
      const written = await write(batch.map(({ item }) => item));
      for (const { item, resolve } of batch) resolve(written.has(item));
    }
    writing = false;
  }

  return {
    add(item) {
      return new Promise((resolve) => {
        collected.push({ item, resolve });
        if (!writing) void writeAll();
      });
    },
  };
}
