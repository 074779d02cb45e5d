/**
 * A feature is one folder below `src/features/` and one line in `src/features.ts`. Its front file, `feature.ts` in that
 * folder, declares here everything that the rest of the program has to know; `src/declarations.ts` collects it.
 *
 *     front file ──> routes, tags, scopes                        ──> router, layers, API document, API keys
 *     (feature.ts)   events, metrics                             ──> log, counters, docs/metrics.md
 *                    tasks, schedules, daily counts              ──> job queue, threads, scheduler, daily report
 *                    retention rules, readiness checks           ──> pruner, readiness probe
 *
 * The front file is the only file of a feature that sees settings: it turns them into plain options. Everything behind it
 * takes options, so that tests make it without a program around it.
 *
 * Event and scope names are closed types: a name that no feature declares does not compile. The front file writes its
 * names once, as a constant, and adds them to the type by declaration merging:
 *
 *     const events = ['note.created', 'note.deleted'] as const;
 *
 *     declare module '../../observability/events.ts' {
 *       interface EventRegistry extends Record<(typeof events)[number], true> {}
 *     }
 *
 *     export const notes = { name: 'notes', events, … } satisfies Feature;
 */

import type { PasswordHasher } from '../auth/password.ts';
import type { Scope } from '../auth/principal.ts';
import type { Cache } from '../cache/cache.ts';
import type { Database } from '../db/database.ts';
import type { Sql } from '../db/sql.ts';
import type { Route } from '../http/route.ts';
import type { HttpClient } from '../http-client/http-client.ts';
import type { Queue } from '../jobs/queue.ts';
import type { Schedule } from '../jobs/schedule/schedule.ts';
import type { Task, TaskDefinition } from '../jobs/task.ts';
import type { MailQueue } from '../mail/mail-queue.ts';
import type { Mailer } from '../mail/mailer.ts';
import type { EventName } from '../observability/events.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics, MetricsSnapshot } from '../observability/metrics/metrics.ts';
import type { Settings } from '../settings/load.ts';
import type { HealthCheck } from './health/health.ts';
import type { Identity } from './identity/identity.ts';

export interface Feature {
  /** The name of its folder. */
  readonly name: string;
  /** The sections of the OpenAPI document for its routes. */
  readonly tags?: readonly Described<string>[];
  /** The permissions that its routes ask of API keys. */
  readonly scopes?: readonly Described<Scope>[];
  /** The events that it logs. Each is counted in the metric `log_events_total`. */
  readonly events?: readonly EventName[];
  readonly tasks?: readonly FeatureTask[];
  readonly schedules?: readonly Schedule[];
  /** The rows that the daily report counts. */
  readonly dailyCounts?: readonly DailyCount[];
  /** Makes the routes below the API prefix. Called once for each application, and here metrics are declared. */
  routes?(parts: FeatureParts): readonly Route[];
  /** Makes routes outside of the API prefix; the API document does not show them. */
  rootRoutes?(parts: FeatureParts): readonly Route[];
  /** Makes the checks that readiness runs beside those of the program. */
  healthChecks?(parts: CheckParts): readonly HealthCheck[];
  /** Makes the rules by which old data is deleted. Servers and job processes apply them. */
  retentionRules?(parts: RetentionParts): readonly RetentionRule[];
}

export interface Described<Name extends string> {
  readonly name: Name;
  /** A sentence for the API document. */
  readonly description: string;
}

/** A task: what the queue and the runner know of it, and how a thread makes it. */
export interface FeatureTask {
  readonly definition: TaskDefinition;
  create(parts: TaskParts): Task;
}

export interface DailyCount {
  /** The field in the result of the report, in snake_case. */
  readonly name: string;
  /** The line of the mail, at most 15 characters. */
  readonly label: string;
  /** Returns a query with one column: the time of each row. The report counts those of its day. */
  times(sql: Sql): ReturnType<Sql>;
}

export interface RetentionRule {
  /** Names the deleted rows in the log. */
  readonly name: string;
  /** Deletes at most `limit` rows and returns the number of deleted rows. */
  readonly deleteBatch: (limit: number) => Promise<number>;
}

/** The parts that readiness checks are made with. */
export interface CheckParts {
  readonly settings: Settings;
  /** The root logger: `log.named('notes')` puts the name of the feature into its lines. */
  readonly log: Logger;
  readonly database: Database;
}

/** The parts that routes are made with, once for each process that answers requests. */
export interface FeatureParts extends CheckParts {
  readonly identity: Identity;
  readonly passwords: PasswordHasher;
  /** Mails from memory, sent by this process. The task `send_email` is for mails that must survive a crash. */
  readonly mail: MailQueue;
  readonly queue: Queue;
  /** Keeps what a function has loaded. A name can be declared once. */
  readonly cache: Cache;
  /** Calls other services (docs/outgoing-http.md). */
  readonly httpClient: HttpClient;
  /** Metrics of this process. A name can be declared once. */
  readonly metrics: Metrics;
  /** Resolves with the metrics of all workers. */
  readonly fleetMetrics: () => Promise<MetricsSnapshot>;
  /** The checks of the program and of all features. */
  readonly healthChecks: readonly HealthCheck[];
  /** The scopes of all features. */
  readonly scopes: readonly Scope[];
}

/** The parts that tasks are made with, once for each thread. */
export interface TaskParts {
  readonly settings: Settings;
  /** The two connections of the thread. A task uses the queries of its context; this is for what it calls. */
  readonly database: Database;
  /** Sends mail; null if no mail can be sent. */
  readonly mailer: Mailer | null;
  readonly queue: Queue;
  /** Calls other services (docs/outgoing-http.md); a call ends with the attempt of its job. */
  readonly httpClient: HttpClient;
  /** The daily counts of all features. */
  readonly dailyCounts: readonly DailyCount[];
}

export interface RetentionParts {
  readonly settings: Settings;
  readonly database: Database;
}
