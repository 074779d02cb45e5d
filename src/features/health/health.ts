/**
 * The health of this server, in three probes with different consequences:
 *
 * - alive: the process answers. If it does not, the platform restarts it. This probe checks nothing outside of the process,
 *   because an outage of the database must not restart every server.
 * - ready: the server can handle traffic now. If it cannot, the balancer skips it. All checks run concurrently, each with
 *   its own deadline; a failed required check makes the status `fail`.
 * - started: the server has been ready once. Until then, the platform does not use the other two probes.
 *
 * A check is a function that rejects when something is wrong. Its status is `ok`; `failed`; `degraded` if the part is away
 * and the server does its work without it; or `disabled` if the settings do not enable the part.
 */

import { AsyncResource } from 'node:async_hooks';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';

export interface HealthCheck {
  /** The name in the response, in snake_case. */
  readonly name: string;
  /** Whether the server is not ready while this check fails. */
  readonly required: boolean;
  /**
   * Rejects when something is wrong; the message of an AppError is shown. Resolves with the reason if the server does its
   * work without the part. Undefined if the settings do not enable the part.
   */
  readonly run: (() => Promise<Degradation | undefined>) | undefined;
}

/** Why the server works without a part. */
export interface Degradation {
  readonly degraded: string;
}

export interface CheckResult {
  readonly status: 'ok' | 'degraded' | 'failed' | 'disabled';
  readonly required: boolean;
  readonly detail?: string;
  readonly duration_ms: number;
}

export interface Readiness {
  readonly status: 'pass' | 'fail';
  readonly checks: Record<string, CheckResult>;
}

export interface Health {
  live(): { readonly status: 'pass'; readonly environment: string; readonly version: string };
  /** Runs all checks. Probes that arrive while they run share the one result. Never rejects. */
  ready(): Promise<Readiness>;
  /** Passes as soon as `ready` has passed once, and permanently from then on. Never rejects. */
  started(): Promise<{ readonly status: 'pass' | 'fail' }>;
}

export interface HealthOptions {
  readonly environment: string;
  readonly version: string;
  readonly checks: readonly HealthCheck[];
  readonly log: Logger;
  /** Deadline of each check, in milliseconds. */
  readonly timeoutMs?: number;
}

export function createHealth({ environment, version, checks, log, timeoutMs = 3000 }: HealthOptions): Health {
  let pending: Promise<Readiness> | undefined;
  let hasBeenReady = false;

  // Outside of any request, because the run is shared and must not be cancelled when the probe that started it disconnects.
  const runAll = AsyncResource.bind(async (): Promise<Readiness> => {
    const results = await Promise.all(checks.map((check) => runCheck(check, timeoutMs, log)));
    const fails = results.some(([, { status, required }]) => required && status === 'failed');
    pending = undefined;
    hasBeenReady ||= !fails;
    return { status: fails ? 'fail' : 'pass', checks: Object.fromEntries(results) };
  });

  function ready(): Promise<Readiness> {
    pending ??= runAll();
    return pending;
  }

  return {
    live: () => ({ status: 'pass', environment, version }),
    ready,
    started: async () => (hasBeenReady ? { status: 'pass' } : { status: (await ready()).status }),
  };
}

async function runCheck(
  { name, required, run }: HealthCheck,
  timeoutMs: number,
  log: Logger,
): Promise<[name: string, result: CheckResult]> {
  if (run === undefined) return [name, { status: 'disabled', required, duration_ms: 0 }];
  const startedAt = performance.now();
  const elapsed = () => Math.round((performance.now() - startedAt) * 100) / 100;
  try {
    const degradation = await withTimeout(run(), timeoutMs, () => {
      throw new AppError('not_ready', `No answer within ${timeoutMs} ms.`);
    });
    if (degradation === undefined) return [name, { status: 'ok', required, duration_ms: elapsed() }];
    return [name, { status: 'degraded', required, detail: degradation.degraded, duration_ms: elapsed() }];
  } catch (error) {
    log.warning('readiness.failed', { check: name, required, error });
    const detail = error instanceof AppError ? error.message : 'The check failed; the log has the reason.';
    return [name, { status: 'failed', required, detail, duration_ms: elapsed() }];
  }
}
