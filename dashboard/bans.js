/**
 * The section of bans on the first page of the management port: the list, a form to ban a client, and a button to lift each ban.
 *
 * @typedef {{ client: string, cause: 'rate_limit' | 'authentication' | 'manual', reason: string | null, count: number,
 *   ends_at: string }} Ban
 * @typedef {{ bans: Ban[], total: number, before: number | null }} BanPage
 */

import { byId, show } from './element.js';
import { relative } from './format.js';
import { RequestError, send } from './server.js';
import { cell, emptyRow, rowButton, rowHead, tableRow } from './table.js';
import { keepToken, takeTokenFromAddress, token } from './token.js';

const refreshMs = 5_000;
const pageSize = 50;

const causes = {
  rate_limit: 'over the limit',
  authentication: 'failed authentication',
  manual: 'by hand',
};

const status = byId('bans-status', HTMLElement);
const body = byId('bans', HTMLElement);
const newest = byId('bans-newest', HTMLButtonElement);
const older = byId('bans-older', HTMLButtonElement);
const tokenField = byId('bans-token-value', HTMLInputElement);

/** The position of the shown page; empty for the newest bans. */
let before = '';
/** The position of the next page. */
let next = '';

takeTokenFromAddress();
void look();
setInterval(() => {
  if (!document.hidden) void look();
}, refreshMs);

byId('bans-token', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  keepToken(tokenField.value.trim());
  tokenField.value = '';
  void look();
});

byId('bans-add', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  const address = byId('bans-address', HTMLInputElement);
  const seconds = byId('bans-minutes', HTMLInputElement).valueAsNumber * 60;
  const reason = byId('bans-reason', HTMLInputElement).value;
  void attempt(async () => {
    await send('PUT', pathOf(address.value.trim()), { seconds, reason });
    address.value = '';
  });
});

newest.addEventListener('click', () => {
  before = '';
  void look();
});
older.addEventListener('click', () => {
  before = next;
  void look();
});

/** Returns the path of an address, or of an IPv6 network, which is named by its first address. @param {string} client */
function pathOf(client) {
  return `/bans/${encodeURIComponent(client.replace(/\/64$/, ''))}`;
}

async function look() {
  await attempt(async () => {});
}

/**
 * Makes a change and shows the list. Shows the sentence of an error instead of the number of bans.
 *
 * @param {() => Promise<void>} change
 */
async function attempt(change) {
  try {
    await change();
    /** @type {BanPage} */
    const page = await send('GET', `/bans?limit=${pageSize}${before === '' ? '' : `&before=${before}`}`);
    showPage(page);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    say(error.status === 401 && token() === '' ? 'Enter the token to see the bans.' : error.message);
  }
}

/** @param {BanPage} page */
function showPage({ bans, total, before: position }) {
  say(total === 1 ? '1 client is banned.' : `${total} clients are banned.`);
  next = String(position ?? '');
  newest.hidden = before === '';
  older.hidden = position === null;
  const now = Date.now();
  const rows = bans.map((ban) => ({ ...ban, ends: relative(ban.ends_at, now) }));
  show(body, rows, () => (rows.length === 0 ? [emptyRow(6, 'No client is banned.')] : rows.map(rowOf)));
}

/** @param {Ban & { ends: string }} ban */
function rowOf({ client, cause, reason, count, ends }) {
  return tableRow(
    rowHead({}, client),
    cell('', causes[cause]),
    cell('clip', reason ?? ''),
    cell('number', count),
    cell('number', ends),
    cell(
      'actions',
      rowButton({ key: client, label: `Lift the ban of ${client}`, text: 'Lift' }, () =>
        attempt(() => send('DELETE', pathOf(client))),
      ),
    ),
  );
}

/** @param {string} sentence */
function say(sentence) {
  if (status.textContent !== sentence) status.textContent = sentence;
}
