/** The parts that both pages share: pausing, theme, token, confirmations, and notifications. */

import { byId } from './element.js';
import { timeZone } from './format.js';
import { poll } from './poll.js';
import { change, RequestError } from './server.js';
import { isFinal, showStatus } from './status.js';
import { keepToken, takeTokenFromAddress, token } from './token.js';

const toast = byId('toast', HTMLElement);

/**
 * Starts the page.
 *
 * @param {() => Promise<void>} look reads the data and shows it; rejects with a RequestError
 */
export function startPage(look) {
  let asked = false;
  takeTokenFromAddress();
  byId('zone', HTMLElement).textContent = `Times are in ${timeZone()}.`;
  const polling = poll(look, isFinal, (state, error) => {
    showStatus(state, error);
    const tokenIsMissing = error instanceof RequestError && error.status === 401;
    if (tokenIsMissing && !asked) askForToken(token() === '' ? '' : error.message);
    asked = tokenIsMissing;
  });
  wirePause(polling);
  wireTheme();
  wireToken(polling.now);
  // A link with a token that is opened in this tab only changes the address.
  addEventListener('hashchange', () => {
    if (takeTokenFromAddress()) void polling.now();
  });
  return polling;
}

/**
 * Returns a sentence on what the page does not allow, and how to change that.
 *
 * @param {import('./server.js').Access} access
 */
export function accessSentence({ writes, contents }) {
  if (writes === 'allowed') return '';
  if (writes === 'token_missing' && contents) {
    return 'Read-only: to retry, run, cancel or pause, open the link that the start of the server printed, or enter the token of the file management-token in its data folder.';
  }
  if (writes === 'not_configured') {
    const hidden = contents
      ? ''
      : ' Contents of jobs are hidden, because other machines can reach this port.';
    return `Read-only: to retry, run, cancel or pause, set APP_MANAGEMENT_TOKEN and restart the server.${hidden}`;
  }
  return 'Read-only, without the contents of jobs: enter the token for full access.';
}

/** @param {{ pause(wanted: boolean): void }} polling */
function wirePause(polling) {
  const button = byId('pause', HTMLButtonElement);
  button.addEventListener('click', () => {
    const isPaused = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(isPaused));
    polling.pause(isPaused);
  });
}

function wireTheme() {
  const button = byId('theme', HTMLButtonElement);
  const root = document.documentElement;
  const themes = ['auto', 'light', 'dark'];
  const label = () => {
    button.textContent = `Theme: ${root.dataset.theme ?? 'auto'}`;
  };
  button.addEventListener('click', () => {
    const next = themes[(themes.indexOf(root.dataset.theme ?? 'auto') + 1) % themes.length] ?? 'auto';
    if (next === 'auto') {
      delete root.dataset.theme;
      localStorage.removeItem('strata-theme');
    } else {
      root.dataset.theme = next;
      localStorage.setItem('strata-theme', next);
    }
    label();
  });
  label();
}

const tokenDialog = byId('token-dialog', HTMLDialogElement);

/** @param {() => void} look */
function wireToken(look) {
  const field = byId('token-value', HTMLInputElement);
  byId('token', HTMLButtonElement).addEventListener('click', () => askForToken(''));
  tokenDialog.addEventListener('close', () => {
    const answer = tokenDialog.returnValue;
    if (answer === 'use') keepToken(field.value.trim());
    if (answer === 'forget') keepToken('');
    field.value = '';
    if (answer === 'use' || answer === 'forget') look();
  });
}

/** @param {string} error */
function askForToken(error) {
  byId('token-error', HTMLElement).textContent = error;
  tokenDialog.returnValue = '';
  if (!tokenDialog.open) tokenDialog.showModal();
}

/**
 * Asks for confirmation before a change that cannot be undone.
 *
 * @param {string} question
 * @param {string} yes the label of the button
 * @returns {Promise<boolean>}
 */
export function confirmed(question, yes) {
  const dialog = byId('confirm', HTMLDialogElement);
  byId('confirm-text', HTMLElement).textContent = question;
  byId('confirm-yes', HTMLElement).textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let fading;

/** Shows a notification for six seconds. @param {string} sentence */
export function notify(sentence) {
  toast.textContent = sentence;
  clearTimeout(fading);
  fading = setTimeout(() => {
    toast.textContent = '';
  }, 6_000);
}

/**
 * Requests a change, and shows a notification of success or failure. Returns the answer; undefined after a failure.
 *
 * @param {string} path
 * @param {string} done
 */
export async function act(path, done) {
  try {
    const answer = await change(path);
    notify(done);
    return answer ?? {};
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    notify(error.message);
    return undefined;
  }
}
