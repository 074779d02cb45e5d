/**
 * Looking again and again: every two seconds while the page is seen, seldom while it is not, and ever more seldom while
 * the server is away.
 *
 *     waiting ──> live <──> away        (a look that succeeds, one that fails)
 *                  ^ │
 *                  │ v
 *                 paused                (by the reader, who wants the page to stand still)
 */

const seenMs = 2_000;
const hiddenMs = 30_000;
const awayMs = 15_000;

/**
 * Starts to look.
 *
 * @param {() => Promise<void>} look rejects when it fails
 * @param {(state: 'live' | 'paused' | 'away', error?: unknown) => void} onState
 */
export function poll(look, onState) {
  let paused = false;
  let failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** A look that was asked for while another was under way comes right after it. */
  let underWay = false;
  let again = false;

  async function once() {
    clearTimeout(timer);
    if (underWay) {
      again = true;
      return;
    }
    underWay = true;
    try {
      await look();
      failures = 0;
      onState(paused ? 'paused' : 'live');
    } catch (error) {
      failures += 1;
      onState('away', error);
    }
    underWay = false;
    if (again) {
      again = false;
      await once();
    } else if (!paused) {
      timer = setTimeout(once, pause());
    }
  }

  function pause() {
    if (failures > 0) return Math.min(awayMs, seenMs * 2 ** (failures - 1));
    return document.hidden ? hiddenMs : seenMs;
  }

  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !paused) void once();
  });
  void once();
  return {
    /** Looks at once. */
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
