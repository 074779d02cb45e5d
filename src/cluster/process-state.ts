/**
 * The states of a child process, as its supervisor sees it.
 *
 *                 ready            drain             exit
 *     starting ----------> ready ----------> draining ----------> ended
 *        |  |                |                  |                   ^
 *        |  '--- drain ------|----------------->|                   |
 *        |                   |                  |                   |
 *        '----- timeout -----+----- timeout ----+----> killed ------'
 *                                                           exit
 *
 * `timeout` means that the process took too long to become ready, to send a heartbeat (`watchdog.ts`) or to drain. It
 * causes SIGKILL, which no process can ignore. `exit` can follow every state, and is final.
 */

export const processStates = ['starting', 'ready', 'draining', 'killed', 'ended'] as const;
export type ProcessState = (typeof processStates)[number];

export const processEvents = ['ready', 'drain', 'timeout', 'exit'] as const;
export type ProcessEvent = (typeof processEvents)[number];

const transitions: Readonly<Record<ProcessState, Readonly<Partial<Record<ProcessEvent, ProcessState>>>>> = {
  starting: { ready: 'ready', drain: 'draining', timeout: 'killed', exit: 'ended' },
  ready: { drain: 'draining', timeout: 'killed', exit: 'ended' },
  draining: { timeout: 'killed', exit: 'ended' },
  killed: { exit: 'ended' },
  ended: {},
};

/** Returns the next state; undefined if the event has no effect in this state, as a second `drain`. */
export function nextState(state: ProcessState, event: ProcessEvent): ProcessState | undefined {
  return transitions[state][event];
}

/** Why a process exited. */
export const processEndReasons = [
  /** A reload replaced it by a process with new code and settings. */
  'reloaded',
  /** It reached its limit of requests or memory, and a new one replaced it. */
  'recycled',
  /** The number of workers was reduced. */
  'removed',
  /** The whole program stopped. */
  'stopped',
  /** It exited by itself. */
  'crashed',
  /** It could not start, and reported the reason. */
  'failed',
  /** It was not ready within the start timeout. */
  'late',
  /** It sent no heartbeat for too long: its event loop was blocked. */
  'silent',
] as const;
export type ProcessEndReason = (typeof processEndReasons)[number];

const unplanned: ReadonlySet<ProcessEndReason> = new Set(['crashed', 'failed', 'late', 'silent']);

/** Returns whether the exit was a failure: nothing requested it. */
export function isUnplanned(reason: ProcessEndReason): boolean {
  return unplanned.has(reason);
}
