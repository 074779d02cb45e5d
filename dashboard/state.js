/** The states of a job as people read them. */

import { element } from './element.js';

/** @type {readonly import('./server.js').State[]} */
export const states = ['available', 'running', 'scheduled', 'completed', 'failed', 'cancelled'];

/**
 * A state with its mark: the word says it, the colour only helps.
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
