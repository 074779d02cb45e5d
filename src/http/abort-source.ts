/**
 * The end of the work for one request: the part of AbortSignal that our own code listens to. A real AbortSignal costs more
 * to make and to listen to than the rest of a small request, and nearly every one of them is never aborted.
 */
export class AbortSource {
  #reason: Error | undefined = undefined;
  readonly #listeners: (() => void)[] = [];

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  /** Why the work is to end; undefined while it goes on. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Calls back once when the work is to end. Not when it has ended already: ask `aborted` first, as with AbortSignal. */
  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const index = this.#listeners.indexOf(listener);
    if (index >= 0) this.#listeners.splice(index, 1);
  }

  /** Ends the work; the first reason counts. */
  abort(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
