/**
 * A window for each client, as one counter. The storage that the throttler brings keeps the time of every hit in the
 * window and walks all of them at each request: with a client as busy as a load generator it would be most of what
 * is measured.
 */
export class CountingStorage {
  #windows = new Map();

  /** Forgets clients when their window is over, a window's length after the other. */
  constructor(ttlMs) {
    setInterval(() => this.#forget(Date.now()), ttlMs).unref();
  }

  async increment(key, ttl, limit) {
    const now = Date.now();
    let window = this.#windows.get(key);
    if (window === undefined || window.endsAt <= now) {
      window = { hits: 0, endsAt: now + ttl };
      this.#windows.set(key, window);
    }
    window.hits += 1;
    const seconds = Math.ceil((window.endsAt - now) / 1000);
    return {
      totalHits: window.hits,
      timeToExpire: seconds,
      isBlocked: window.hits > limit,
      timeToBlockExpire: seconds,
    };
  }

  #forget(now) {
    for (const [key, { endsAt }] of this.#windows) if (endsAt <= now) this.#windows.delete(key);
  }
}
