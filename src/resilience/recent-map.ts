/**
 * A map in bounded memory that keeps the most recently used entries: always the last `max` of them, and never more than twice
 * as many.
 *
 * It has two generations. A write or a read of an old entry moves it to the young generation. When that one is full, it
 * becomes the old one, and the previous old one is dropped as a whole:
 *
 *     young: a b c d (full)     old: x y z     ->     young: (empty)     old: a b c d
 *
 * So each operation is one or two look-ups, whatever the number of entries. A linked list would evict entries one by one, and
 * costs more per entry than the second generation.
 */
export class RecentMap<Value> {
  readonly #max: number;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  /** `max` is the size of one generation. */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    this.#old.delete(key);
    if (this.#young.size >= this.#max && !this.#young.has(key)) this.rotate();
    this.#young.set(key, value);
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  /** Drops the entries that have not been used since the last rotation. */
  rotate(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }
}
