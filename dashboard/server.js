/**
 * Requests to the server, with the token in a header.
 *
 * @typedef {'scheduled' | 'retrying' | 'available' | 'running' | 'completed' | 'failed' | 'cancelled'} State
 * @typedef {{ writes: 'allowed' | 'token_missing' | 'not_configured', contents: boolean }} Access
 * @typedef {{ queue: string, task: string, state: State, jobs: number, first_run_at: string | null }} Count
 * @typedef {{ p50: number, p95: number }} Percentiles
 * @typedef {{ start: string, completed: number, failed: number, cancelled: number, wait: Percentiles | null,
 *   run: Percentiles | null }} Minute
 * @typedef {{ id: number, host: string, pid: number, version: string, threads: number, started_at: string,
 *   running: number, alive: boolean }} RunnerReport
 * @typedef {{ name: string, cron: string, time_zone: string, paused_at: string | null, run_requested_at: string | null,
 *   last_run_at: string | null, last_job: { id: number, state: State | null } | null,
 *   next_run_at: string | null }} ScheduleReport
 * @typedef {{ access: Access, now: string, active: Count[], finished: Count[] | null,
 *   paused: { queue: string, since: string }[], runners: RunnerReport[], schedules: ScheduleReport[],
 *   minutes: Minute[] }} Overview
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

import { token } from './token.js';

const timeoutMs = 8_000;

/** The server has rejected a request, or does not answer (status 0). The message is a sentence for the user. */
export class RequestError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Reads from a path below `/jobs/data`. Rejects with a RequestError.
 *
 * @param {string} path
 * @returns {Promise<any>} one of the types above
 */
export function look(path) {
  return send('GET', `/jobs/data/${path}`);
}

/**
 * Requests a change at a path below `/jobs/data`. Rejects with a RequestError.
 *
 * @param {string} path
 * @returns {Promise<any>} undefined for an answer without a body
 */
export function change(path) {
  return send('POST', `/jobs/data/${path}`);
}

/**
 * Sends a request to a path of this server, with `content` as JSON. Rejects with a RequestError.
 *
 * @param {string} method
 * @param {string} path
 * @param {unknown} [content]
 * @returns {Promise<any>} undefined for an answer without a body
 */
export async function send(method, path, content) {
  const stored = token();
  const response = await fetch(path, {
    method,
    headers: {
      ...(stored === '' ? {} : { authorization: `Bearer ${stored}` }),
      ...(content === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(content === undefined ? {} : { body: JSON.stringify(content) }),
    signal: AbortSignal.timeout(timeoutMs),
  }).catch(() => {
    throw new RequestError(0, 'The server does not answer.');
  });
  if (response.status === 204) return undefined;
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new RequestError(response.status, body.detail ?? `The server answered ${response.status}.`);
}
