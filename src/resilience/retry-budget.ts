/**
 * Bounds the retries of a dependency to a part of its calls. Without a bound, retries multiply the load at the moment when the
 * dependency can bear the least: three attempts per call are three times the load.
 *
 * Each call adds `ratio` of a token, up to `max` tokens; each retry takes a whole one. So retries are at most `ratio` of all
 * calls, and `max` more after a quiet time.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #max: number;
  #tokens: number;

  constructor({ ratio, max }: { readonly ratio: number; readonly max: number }) {
    this.#ratio = ratio;
    this.#max = max;
    this.#tokens = max;
  }

  /** Counts a call. */
  addCall(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + this.#ratio);
  }

  /** Takes the token of a retry. Returns whether the retry is allowed. */
  takeRetry(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
