/**
 * The firing alerts on the first page of the management port. They are read with the token of the page of jobs, and the section
 * stays hidden while alerting is off.
 *
 * @typedef {{ rule: string, severity: string, summary: string, since: string, value: number, threshold: number,
 *   runbook: string }} Alert
 * @typedef {{ enabled: boolean, firing: Alert[] }} Alerts
 */

import { byId, element, show } from './element.js';
import { takeTokenFromAddress, token } from './token.js';

const everyMs = 5_000;
const timeoutMs = 8_000;

const section = byId('alerts', HTMLElement);
const state = byId('alerts-state', HTMLElement);
const list = byId('alerts-list', HTMLElement);

/** Returns whether to look again: without the token each request would count as a rejected credential. */
async function look() {
  const stored = token();
  const response = await fetch('/alerts', {
    headers: stored === '' ? {} : { authorization: `Bearer ${stored}` },
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (response.status === 401) {
    section.hidden = false;
    state.textContent = 'Enter the token on the page of jobs, then load this page again to see the alerts.';
    return false;
  }
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  render(await response.json());
  return true;
}

/** @param {Alerts} alerts */
function render({ enabled, firing }) {
  section.hidden = !enabled;
  state.textContent = firing.length === 0 ? 'No alert is firing.' : '';
  show(list, firing, () => firing.map(row));
}

/** @param {Alert} alert */
function row({ rule, severity, summary, since, runbook }) {
  const isAddress = /^https?:\/\//.test(runbook);
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, rule),
    element('td', {}, severity),
    element('td', {}, summary),
    element('td', {}, `since ${new Date(since).toLocaleString()}`),
    element('td', {}, isAddress ? element('a', { href: runbook, rel: 'noreferrer' }, 'Runbook') : runbook),
  );
}

async function poll() {
  try {
    if (!(await look())) return;
  } catch {
    state.textContent = 'The server does not answer.';
  }
  setTimeout(poll, everyMs);
}

takeTokenFromAddress();
void poll();
