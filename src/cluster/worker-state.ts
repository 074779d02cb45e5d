/**
 * The life of a worker, as its primary sees it.
 *
 *                 ready            drain             exit
 *     starting ----------> ready ----------> draining ----------> ended
 *        |  |                |                  |                   ^
 *        |  '--- drain ------|----------------->|                   |
 *        |                   |                  |                   |
 *        '----- timeout -----+----- timeout ----+----> killed ------'
 *                                                           exit
 *
 * `timeout` is whatever took too long: to become ready, to say a word (`watchdog.ts`), to drain. It leads to SIGKILL,
 * which nothing can refuse. `exit` comes from every state, and nothing comes after it.
 */

export const workerStates = ['starting', 'ready', 'draining', 'killed', 'ended'] as const;
export type WorkerState = (typeof workerStates)[number];

export const workerEvents = ['ready', 'drain', 'timeout', 'exit'] as const;
export type WorkerEvent = (typeof workerEvents)[number];

const transitions: Readonly<Record<WorkerState, Readonly<Partial<Record<WorkerEvent, WorkerState>>>>> = {
  starting: { ready: 'ready', drain: 'draining', timeout: 'killed', exit: 'ended' },
  ready: { drain: 'draining', timeout: 'killed', exit: 'ended' },
  draining: { timeout: 'killed', exit: 'ended' },
  killed: { exit: 'ended' },
  ended: {},
};

/** The state that follows; undefined if the event means nothing in this state, such as a second order to drain. */
export function nextState(state: WorkerState, event: WorkerEvent): WorkerState | undefined {
  return transitions[state][event];
}

/** Why a worker ended: what somebody wanted, or what went wrong. */
export const workerEndReasons = [
  /** New code and settings took its place. */
  'reloaded',
  /** It had answered so many requests, or had so much memory, that a fresh one took its place. */
  'recycled',
  /** Fewer workers were wanted. */
  'removed',
  /** The whole program stops. */
  'stopped',
  /** It ended unasked. */
  'crashed',
  /** It could not start, and said why. */
  'failed',
  /** It was not ready in time. */
  'late',
  /** Its event loop was blocked for too long. */
  'silent',
] as const;
export type WorkerEndReason = (typeof workerEndReasons)[number];

const unplanned: ReadonlySet<WorkerEndReason> = new Set(['crashed', 'failed', 'late', 'silent']);

/** Whether nobody wanted it to end. */
export function isUnplanned(reason: WorkerEndReason): boolean {
  return unplanned.has(reason);
}
