/**
 * Polls the server: every two seconds while the page is visible, less often while it is hidden, and with increasing delays
 * while the server does not answer.
 *
 *     waiting ──> live <──> away        (a poll that succeeds, a poll that fails)
 *                  ^ │
 *                  │ v
 *                 paused                (by the user)
 */

const visibleMs = 2_000;
const hiddenMs = 30_000;
const awayMs = 15_000;

/**
 * Starts polling.
 *
 * @param {() => Promise<void>} look reads and shows the data; rejects on failure
 * @param {(state: 'live' | 'paused' | 'away', error?: unknown) => void} onState
 */
export function poll(look, onState) {
  let paused = false;
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
      onState(paused ? 'paused' : 'live');
    } catch (error) {
      failures += 1;
      onState('away', error);
    }
    isPolling = false;
    if (again) {
      again = false;
      await once();
    } else if (!paused) {
      timer = setTimeout(once, pause());
    }
  }

  function pause() {
    if (failures > 0) return Math.min(awayMs, visibleMs * 2 ** (failures - 1));
    return document.hidden ? hiddenMs : visibleMs;
  }

  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !paused) void once();
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
