/**
 * The status of the page in the header, and its reason in the notice below.
 *
 * @typedef {import('./poll.js').PollState} PollState
 */

import { byId } from './element.js';
import { clockTime } from './format.js';
import { RequestError } from './server.js';
import { token } from './token.js';

const status = byId('status', HTMLElement);
const notice = byId('notice', HTMLElement);
/** @type {Date | undefined} */
let shownAt;

/**
 * Returns whether polling again cannot help: the token is missing or wrong, or there is no such job.
 *
 * @param {unknown} error
 */
export function isFinal(error) {
  return error instanceof RequestError && (error.status === 401 || error.status === 404);
}

/**
 * Shows the state of the polling.
 *
 * @param {PollState} state
 * @param {unknown} error
 */
export function showStatus(state, error) {
  const isFailing = state === 'away' || state === 'stopped';
  if (!isFailing) shownAt = new Date();
  const words = { live: 'Live', paused: 'Paused', away: problem(error), stopped: problem(error) };
  // Screen readers announce a live region at every write.
  if (status.textContent !== words[state]) status.textContent = words[state];
  status.dataset.state = state;
  if (isFailing) showNotice(reason(error));
  if (isFailing && !(error instanceof RequestError)) console.error(error);
  document.body.classList.toggle('stale', isFailing);
}

/** Shows a sentence at the top of the page; an empty one hides it. @param {string} sentence */
export function showNotice(sentence) {
  if (notice.textContent !== sentence) notice.textContent = sentence;
  notice.hidden = sentence === '';
}

/** @param {unknown} error */
function problem(error) {
  if (!(error instanceof RequestError)) return 'Error, retrying';
  if (error.status === 0) return 'Disconnected, retrying';
  if (error.status === 401) return 'Not authorised';
  if (error.status === 404) return 'Not found';
  if (error.status === 429) return 'Too many attempts, waiting';
  return error.status === 503 ? 'Not available, retrying' : 'Error, retrying';
}

/** @param {unknown} error */
function reason(error) {
  if (!(error instanceof RequestError))
    return 'This page has an internal error: see the console of the browser.';
  if (error.status === 401) {
    return token() === ''
      ? 'The data of this page requires the management token, the value of APP_MANAGEMENT_TOKEN. Enter it with the button Token.'
      : `${error.message} Updates stop until you enter another one with the button Token.`;
  }
  if (error.status !== 0 || shownAt === undefined) return error.message;
  return `${error.message} The page shows the data of ${clockTime(shownAt)}.`;
}
