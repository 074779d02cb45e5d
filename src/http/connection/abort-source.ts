/**
 * The part of AbortSignal that our own code listens to, for the work of one request. Creating a real AbortSignal and listening
 * to it costs more than the rest of a small request, and nearly every one is never aborted.
 */
export class AbortSource {
  #reason: Error | undefined = undefined;
  readonly #listeners: (() => void)[] = [];
  /**
   * When the response must be ready, in whole milliseconds of `performance.now()`; 0 if it has no deadline, or is ready. Calls of
   * other services end then.
   */
  deadlineAt = 0;

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  /** Why the work was aborted; undefined if it was not. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Calls the listener once on abort. As with AbortSignal, check `aborted` first: an earlier abort is not reported. */
  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }

  /** Aborts the work. Only the first call has an effect. */
  abort(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
