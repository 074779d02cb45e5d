import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from '../../cluster/fleet.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { pendingMigrations } from '../../db/migrations/migrate.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { describePending, openProbe } from './database-check.ts';

export interface MigrationWatchOptions {
  readonly url: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The time between two questions while migrations are pending or the database does not answer, in milliseconds. */
  readonly everyMs?: number;
}

/**
 * Whether migrations are pending, for the process that serves the management port. It asks the database in the background
 * until no migration is pending, and then never again, so `/readyz` waits for no database and does not fail when all
 * instances lose theirs.
 */
export interface MigrationWatch {
  /** Returns a sentence while migrations are pending; undefined if there are none or the database has not answered yet. */
  problem(): string | undefined;
  stop(): Promise<void>;
}

/** How long the connection may take to close, in milliseconds. */
const closeMs = 1_500;

/** How long the start waits for the first answer, in milliseconds. */
const firstAnswerMs = 2_000;

/** Resolves when the database has answered, or after two seconds. Logs `migration.pending` once if migrations are pending. */
export async function startMigrationWatch({
  url,
  log,
  metrics,
  everyMs = 1_000,
}: MigrationWatchOptions): Promise<MigrationWatch> {
  const stopped = new AbortController();
  const probe = openProbe(url, log.named('database'));
  const gauge = declarePendingGauge(metrics);
  let problem: string | undefined;

  /** Resolves with whether the answer is final: no migration is pending. */
  async function ask(): Promise<boolean> {
    try {
      const names = await pendingMigrations(probe.sql);
      if (names.length > 0 && problem === undefined) logPending(log, names);
      problem = names.length === 0 ? undefined : describePending(names);
      gauge(names.length);
      return names.length === 0;
    } catch (error) {
      // Other errors mean that the database does not answer. They leave open whether migrations are pending.
      if (error instanceof StartError) problem = error.message;
      return false;
    }
  }

  async function watch(first: Promise<boolean>): Promise<void> {
    let isFinal = await first;
    while (!isFinal && !stopped.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopped.signal }).catch(() => {});
      if (!stopped.signal.aborted) isFinal = await ask();
    }
    await probe.close(1);
  }

  const first = ask();
  const watching = watch(first);
  await withTimeout(first, firstAnswerMs, () => false);
  return {
    problem: () => problem,
    stop() {
      stopped.abort();
      return watching;
    },
  };
}

/** Starts the watch for the time of the program, unless the start has migrated the database itself. */
export async function openMigrationWatch(
  { application }: Settings,
  url: string | null,
  {
    log,
    metrics,
    lifecycle,
  }: { readonly log: Logger; readonly metrics: Metrics; readonly lifecycle: Lifecycle },
): Promise<MigrationWatch | undefined> {
  if (url === null || application.migrateAtStart) return undefined;
  return lifecycle.open(
    'migration watch',
    () => startMigrationWatch({ url, log, metrics }),
    (watch) => watch.stop(),
    closeMs,
  );
}

/** Returns the fleet, which is not ready while migrations are pending. */
export function withMigrations(fleet: Fleet, watch: () => MigrationWatch | undefined): Fleet {
  return {
    ...fleet,
    async readiness() {
      const found = await fleet.readiness();
      const problem = watch()?.problem();
      return found.ready && problem !== undefined ? { ready: false, detail: problem } : found;
    },
  };
}

/** Declares the metric, and returns the function that sets it. */
export function declarePendingGauge(metrics: Metrics): (count: number) => void {
  const gauge = metrics.gauge({
    name: 'migrations_pending',
    help: 'Migrations that are not applied to the database; readiness fails while there are any. 0 also before the database has answered.',
  });
  const series = gauge.of();
  return (count) => series.set(count);
}

export function logPending(log: Logger, names: readonly string[]): void {
  log.warning('migration.pending', {
    count: names.length,
    names: names.slice(0, maxNamed),
    advice: 'Run `npm run migrate -- up`. Readiness fails until then.',
  });
}

/** How many migrations a log line names. */
const maxNamed = 20;
