/**
 * How much a counter has increased within a sliding window. Samples are taken at each evaluation, so the window is the wanted
 * one or longer, by at most the time between two evaluations.
 *
 *     now - window
 *          v
 *     s0   |   s1    s2    s3        the increase is s3 - s0: the newest sample before the window is its base
 *
 * The counters of a program start at 0, so the base of the first window is 0. A counter that decreases was started again: its
 * whole value is an increase.
 */
export class WindowCount {
  readonly #windowMs: number;
  readonly #samples: { readonly at: number; readonly total: number }[];
  #last = 0;
  /** The sum of all increases. */
  #total = 0;

  constructor(windowMs: number, startedAt: number) {
    this.#windowMs = windowMs;
    this.#samples = [{ at: startedAt, total: 0 }];
  }

  /** Adds a sample of the counter, and returns its increase in the window that ends now. */
  add(now: number, counter: number): number {
    this.#total += counter < this.#last ? counter : counter - this.#last;
    this.#last = counter;
    this.#samples.push({ at: now, total: this.#total });
    while ((this.#samples[1]?.at ?? Number.POSITIVE_INFINITY) <= now - this.#windowMs) this.#samples.shift();
    return this.#total - (this.#samples[0]?.total ?? 0);
  }
}
