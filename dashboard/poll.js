/**
 * Polls the server: every two seconds while the page is visible, less often while it is hidden, and with increasing delays
 * while the server does not answer. It stops after an error that another poll would only repeat.
 *
 *     waiting ──> live <──> away        (a poll that succeeds, a poll that fails)
 *                  ^ │
 *                  │ v
 *            paused, stopped            (by the user; by a final error, until `now` is called)
 *
 * @typedef {'live' | 'paused' | 'away' | 'stopped'} PollState
 */

const visibleMs = 2_000;
const hiddenMs = 30_000;
const awayMs = 15_000;

/**
 * Starts polling.
 *
 * @param {() => Promise<void>} look reads and shows the data; rejects on failure
 * @param {(error: unknown) => boolean} isFinal whether polling stops after this error
 * @param {(state: PollState, error?: unknown) => void} onState
 */
export function poll(look, isFinal, onState) {
  let paused = false;
  let stopped = false;
  let failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** A poll requested during another one follows directly after it. */
  let isPolling = false;
  let again = false;

  async function once() {
    clearTimeout(timer);
    if (isPolling) {
      again = true;
      return;
    }
    isPolling = true;
    try {
      await look();
      failures = 0;
      stopped = false;
      onState(paused ? 'paused' : 'live');
    } catch (error) {
      failures += 1;
      stopped = isFinal(error);
      onState(stopped ? 'stopped' : 'away', error);
    }
    isPolling = false;
    if (again) {
      again = false;
      await once();
    } else if (!paused && !stopped) {
      timer = setTimeout(once, pause());
    }
  }

  function pause() {
    if (failures > 0) return Math.min(awayMs, visibleMs * 2 ** (failures - 1));
    return document.hidden ? hiddenMs : visibleMs;
  }

  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !paused && !stopped) void once();
  });
  void once();
  return {
    /** Polls at once. */
    now: once,
    /** @param {boolean} wanted */
    pause(wanted) {
      paused = wanted;
      if (wanted) {
        clearTimeout(timer);
        onState('paused');
      } else {
        void once();
      }
    },
  };
}
