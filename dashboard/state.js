/** The states of a job on the pages. */

import { element } from './element.js';

/** @type {readonly import('./server.js').State[]} */
export const states = ['available', 'running', 'scheduled', 'retrying', 'completed', 'failed', 'cancelled'];

/** The states of jobs that have not finished. */
export const activeStates = states.slice(0, 4);

/**
 * Creates the label of a state. The word carries the meaning, the colour only supports it.
 *
 * @param {{ state: import('./server.js').State, cancel_requested?: boolean }} job
 */
export function stateMark({ state, cancel_requested: cancelled }) {
  return element(
    'span',
    { class: `state ${state}` },
    cancelled && state === 'running' ? 'cancelling' : state,
  );
}
