/**
 * Asking the server. The token is in the storage of this tab and goes with each question as a header; never as a
 * cookie, which a browser would send for other sites too.
 *
 * @typedef {'scheduled' | 'available' | 'running' | 'completed' | 'failed' | 'cancelled'} State
 * @typedef {{ writes: 'allowed' | 'token_missing' | 'not_configured', contents: boolean }} Access
 * @typedef {{ queue: string, task: string, state: State, jobs: number, first_run_at: string | null }} Count
 * @typedef {{ p50: number, p95: number }} Percentiles
 * @typedef {{ start: string, completed: number, failed: number, cancelled: number, wait: Percentiles | null,
 *   run: Percentiles | null }} Minute
 * @typedef {{ id: number, host: string, pid: number, version: string, threads: number, started_at: string,
 *   running: number, alive: boolean }} RunnerReport
 * @typedef {{ access: Access, now: string, active: Count[], finished: Count[] | null,
 *   paused: { queue: string, since: string }[], runners: RunnerReport[], minutes: Minute[] }} Overview
 * @typedef {{ id: number, name: string, queue: string, state: State, attempt: number, max_attempts: number,
 *   progress: number, progress_message: string | null, request_id: string | null, runner: number | null,
 *   cancel_requested: boolean, run_at: string, created_at: string, started_at: string | null,
 *   finished_at: string | null }} Summary
 * @typedef {Summary & { last_error: { code: string, message: string | null } | null }} ListedJob
 * @typedef {{ access: Access, jobs: ListedJob[], before: number | null }} JobList
 * @typedef {{ attempt: number, at: string, code: string, message: string | null, details?: unknown,
 *   stack?: string }} AttemptError
 * @typedef {Summary & { priority: number, timeout_ms: number, user_id: number | null, unique_key: string | null,
 *   errors: AttemptError[], retries: string[], payload?: unknown, result?: unknown }} WholeJob
 * @typedef {{ access: Access, now: string, job: WholeJob }} OneJob
 */

const tokenKey = 'strata-management-token';
const patienceMs = 8_000;

/** The server has refused, or is not there (status 0). The message is a sentence for whoever reads the page. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function token() {
  return sessionStorage.getItem(tokenKey) ?? '';
}

/** @param {string} value empty to forget it */
export function keepToken(value) {
  if (value === '') sessionStorage.removeItem(tokenKey);
  else sessionStorage.setItem(tokenKey, value);
}

/**
 * What is at a path below `/jobs/data`. Throws a Refusal.
 *
 * @param {string} path
 * @returns {Promise<any>} as the typedefs above say
 */
export function look(path) {
  return ask('GET', path);
}

/**
 * Changes something. Throws a Refusal.
 *
 * @param {string} path
 * @returns {Promise<any>} undefined where the server has nothing to say but that it is done
 */
export function change(path) {
  return ask('POST', path);
}

/**
 * @param {string} method
 * @param {string} path
 */
async function ask(method, path) {
  const shown = token();
  const response = await fetch(`/jobs/data/${path}`, {
    method,
    headers: shown === '' ? {} : { authorization: `Bearer ${shown}` },
    signal: AbortSignal.timeout(patienceMs),
  }).catch(() => {
    throw new Refusal(0, 'The server does not answer.');
  });
  if (response.status === 204) return undefined;
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refusal(response.status, body.detail ?? `The server answered ${response.status}.`);
}
