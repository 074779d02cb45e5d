/** What both pages have around them: status, live or paused, colours, the token, questions, and what was done. */

import { byId } from './element.js';
import { poll } from './poll.js';
import { change, keepToken, Refusal, token } from './server.js';

const status = byId('status', HTMLElement);
const notice = byId('notice', HTMLElement);
const toast = byId('toast', HTMLElement);

/**
 * Starts the page.
 *
 * @param {() => Promise<void>} look reads the data and shows it; throws a Refusal
 */
export function startPage(look) {
  let asked = false;
  const polling = poll(look, (state, error) => {
    tellState(state, error);
    const tokenIsMissing = error instanceof Refusal && error.status === 401;
    if (tokenIsMissing && !asked) askForToken(token() === '' ? '' : error.message);
    asked = tokenIsMissing;
  });
  wireLive(polling);
  wireTheme();
  wireToken(polling.now);
  return polling;
}

/**
 * @param {'live' | 'paused' | 'away'} state
 * @param {unknown} error
 */
function tellState(state, error) {
  const refused = error instanceof Refusal && error.status > 0;
  const words = { live: 'Live', paused: 'Paused', away: refused ? 'Waiting' : 'No answer, trying again' };
  // A live region is read out whenever it is written to.
  if (status.textContent !== words[state]) status.textContent = words[state];
  status.dataset.state = state;
  if (state === 'away') tell(error instanceof Refusal ? error.message : 'The page has a fault of its own.');
  if (state === 'away' && !(error instanceof Refusal)) console.error(error);
  document.body.classList.toggle('stale', state === 'away');
}

/** A sentence above everything; empty for none. @param {string} sentence */
export function tell(sentence) {
  if (notice.textContent !== sentence) notice.textContent = sentence;
  notice.hidden = sentence === '';
}

/**
 * What the page cannot do, and how to change that.
 *
 * @param {import('./server.js').Access} access
 */
export function accessSentence({ writes, contents }) {
  if (writes === 'allowed') return '';
  if (writes === 'not_configured') {
    const hidden = contents ? '' : ' What jobs hold is hidden, because other machines reach this port.';
    return `Read only: to retry, cancel or pause, set APP_MANAGEMENT_TOKEN and start the server again.${hidden}`;
  }
  return 'Read only, without what jobs hold: give the token to see and to change more.';
}

/** @param {{ pause(wanted: boolean): void }} polling */
function wireLive(polling) {
  const button = byId('live', HTMLButtonElement);
  button.addEventListener('click', () => {
    const live = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(live));
    polling.pause(!live);
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

/** @param {string} fault */
function askForToken(fault) {
  byId('token-fault', HTMLElement).textContent = fault;
  tokenDialog.returnValue = '';
  if (!tokenDialog.open) tokenDialog.showModal();
}

/**
 * Asks before something that cannot be taken back.
 *
 * @param {string} question
 * @param {string} yes what the button says
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

/** Says what was done, for a while. @param {string} sentence */
export function say(sentence) {
  toast.textContent = sentence;
  clearTimeout(fading);
  fading = setTimeout(() => {
    toast.textContent = '';
  }, 6_000);
}

/**
 * Changes something and says so, or why not. Returns the server's answer; undefined if it has refused.
 *
 * @param {string} path
 * @param {string} done
 */
export async function act(path, done) {
  try {
    const answer = await change(path);
    say(done);
    return answer ?? {};
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(error.message);
    return undefined;
  }
}
