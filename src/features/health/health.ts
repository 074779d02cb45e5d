/**
 * Is this server well? Three questions, because three answers follow from them:
 *
 * - alive: does the process answer? If not, it is restarted. Nothing outside of the process is asked, or an outage of
 *   the database would restart every server.
 * - ready: should it get traffic now? If not, the balancer leaves it out until it is. Every check runs, at the same
 *   time, each with its own deadline; a required one that fails makes the answer `fail`.
 * - started: has it been ready once? Until then the other two are not asked.
 *
 * A check is a function that rejects when something is wrong. The status of a check is `pass`, `fail`, or `disabled`
 * when the settings do not ask for it.
 */

import { AsyncResource } from 'node:async_hooks';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';

export interface HealthCheck {
  /** The name in the answer, in snake_case. */
  readonly name: string;
  /** Whether the server is not ready while this fails. */
  readonly required: boolean;
  /** Rejects when something is wrong; an AppError's message is shown. Undefined: the settings do not ask for it. */
  readonly run: (() => Promise<void>) | undefined;
}

export interface CheckResult {
  readonly status: 'pass' | 'fail' | 'disabled';
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
  /** Passes once `ready` has passed, and then for ever. Never rejects. */
  started(): Promise<{ readonly status: 'pass' | 'fail' }>;
}

export interface HealthOptions {
  readonly environment: string;
  readonly version: string;
  readonly checks: readonly HealthCheck[];
  readonly log: Logger;
  /** How long one check may take, in milliseconds. */
  readonly timeoutMs?: number;
}

export function createHealth({ environment, version, checks, log, timeoutMs = 3000 }: HealthOptions): Health {
  let underWay: Promise<Readiness> | undefined;
  let hasBeenReady = false;

  // Outside of any request: the run is shared, and must not end because the probe that began it goes away.
  const runAll = AsyncResource.bind(async (): Promise<Readiness> => {
    const results = await Promise.all(checks.map((check) => runCheck(check, timeoutMs, log)));
    const fails = results.some(([, { status, required }]) => required && status === 'fail');
    underWay = undefined;
    hasBeenReady ||= !fails;
    return { status: fails ? 'fail' : 'pass', checks: Object.fromEntries(results) };
  });

  function ready(): Promise<Readiness> {
    underWay ??= runAll();
    return underWay;
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
    await withTimeout(run(), timeoutMs, () => {
      throw new AppError('not_ready', `No answer within ${timeoutMs} ms.`);
    });
    return [name, { status: 'pass', required, duration_ms: elapsed() }];
  } catch (error) {
    log.warning('readiness.failed', { check: name, required, error });
    const detail = error instanceof AppError ? error.message : 'The check failed; the log says why.';
    return [name, { status: 'fail', required, detail, duration_ms: elapsed() }];
  }
}
