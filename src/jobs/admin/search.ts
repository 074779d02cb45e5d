/**
 * Searches jobs, newest first, in pages by id (see db/keyset.ts). A filter that no index supports is applied to a
 * bounded number of rows, so no search reads a whole table of millions; a page may then be empty and have the id at
 * which to continue. Rare states have partial indexes, so their jobs are found however old they are.
 */

import type { Sql } from '../../db/sql.ts';
import { hasFailedBefore, type ShownState, shownState } from './shown-state.ts';

export interface JobFilter {
  readonly state?: ShownState | undefined;
  readonly queue?: string | undefined;
  readonly task?: string | undefined;
  /** The id of a job if it is a number, else part of the id of the request that enqueued it. */
  readonly text?: string | undefined;
}

/** A job in a list, without payload and result. */
export interface ListedJob {
  readonly id: number;
  readonly name: string;
  readonly queue: string;
  readonly state: ShownState;
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly progress: number;
  readonly progressMessage: string | null;
  /** The error of its last attempt that failed. */
  readonly lastError: { readonly code: string; readonly message: string } | null;
  readonly requestId: string | null;
  readonly runner: number | null;
  readonly cancelRequested: boolean;
  readonly runAt: Date;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

export interface JobPage {
  readonly jobs: readonly ListedJob[];
  /** The id below which the next page starts; null on the last page. */
  readonly before: number | null;
}

const pageSize = 50;
/** Maximum number of rows that a search reads when no index supports its filter. */
const maxRowsRead = 50_000;

/** Returns one page of the jobs with ids below `before`. Rejects with the errors of the database. */
export async function searchJobs(sql: Sql, filter: JobFilter, before: number | undefined): Promise<JobPage> {
  const floor = hasIndex(filter) ? 0 : await findFloor(sql, before);
  const rows = await sql<ListedJob[]>`
    select id, name, queue, ${shownState(sql)} as state, attempt, max_attempts as "maxAttempts", progress,
      progress_message as "progressMessage",
      case when errors = '[]' then null
        else jsonb_build_object('code', errors -> -1 ->> 'code', 'message', left(errors -> -1 ->> 'message', 500))
      end as "lastError",
      request_id as "requestId", runner, cancel_requested as "cancelRequested", run_at as "runAt",
      created_at as "createdAt", started_at as "startedAt", finished_at as "finishedAt"
    from jobs
    where ${matches(sql, filter)} and id >= ${floor} and ${before === undefined ? sql`true` : sql`id < ${before}`}
    order by id desc
    limit ${pageSize + 1}`;
  const jobs = rows.slice(0, pageSize);
  if (rows.length > pageSize) return { jobs, before: jobs.at(-1)?.id ?? null };
  return { jobs, before: floor > 0 ? floor : null };
}

/** Selects jobs of a state that an operator changes together. */
export type BatchFilter = Pick<JobFilter, 'queue' | 'task'>;

/** Returns the ids above `after` of failed jobs that may succeed if retried, in order. */
export async function findRetryable(
  sql: Sql,
  filter: BatchFilter,
  after: number,
  limit: number,
): Promise<readonly number[]> {
  return selectIds(sql, isRetryable(sql, filter), after, limit);
}

/** Counts these jobs, up to `max`. */
export async function countRetryable(sql: Sql, filter: BatchFilter, max: number): Promise<number> {
  const rows = await sql`select from jobs where ${isRetryable(sql, filter)} limit ${max}`;
  return rows.length;
}

/** Returns the ids above `after` of retrying jobs, in order. */
export async function findRetrying(
  sql: Sql,
  filter: BatchFilter,
  after: number,
  limit: number,
): Promise<readonly number[]> {
  return selectIds(sql, matches(sql, { ...filter, state: 'retrying' }), after, limit);
}

/** Returns the ids above `after` of the jobs that meet a condition, in order. */
async function selectIds(
  sql: Sql,
  condition: ReturnType<typeof matches>,
  after: number,
  limit: number,
): Promise<readonly number[]> {
  const rows = await sql<{ id: number }[]>`
    select id from jobs
    where ${condition} and id > ${after}
    order by id
    limit ${limit}`;
  return rows.map(({ id }) => id);
}

/** Counts these jobs, up to `max`. */
export async function countRetrying(sql: Sql, filter: BatchFilter, max: number): Promise<number> {
  const rows =
    await sql`select from jobs where ${matches(sql, { ...filter, state: 'retrying' })} limit ${max}`;
  return rows.length;
}

/** Excludes refused jobs and invalid payloads: they would fail again, and the user should see the original error. */
function isRetryable(sql: Sql, { queue, task }: BatchFilter) {
  return sql`
    ${matches(sql, { queue, task, state: 'failed' })}
    and errors -> -1 ->> 'code' not in ('refused', 'invalid_payload')`;
}

function matches(sql: Sql, { state, queue, task, text }: JobFilter) {
  return sql`
    ${state === undefined ? sql`true` : isIn(sql, state)}
    and ${queue === undefined ? sql`true` : sql`queue = ${queue}`}
    and ${task === undefined ? sql`true` : sql`name = ${task}`}
    and ${text === undefined ? sql`true` : matchesText(sql, text)}`;
}

/** Literals, because a plan that is made before the parameters are known cannot use the partial indexes. */
function isIn(sql: Sql, state: ShownState) {
  switch (state) {
    case 'scheduled':
      return sql`(state = 'scheduled' and not ${hasFailedBefore(sql)})`;
    case 'retrying':
      return sql`(state = 'scheduled' and ${hasFailedBefore(sql)})`;
    case 'available':
      return sql`state = 'available'`;
    case 'running':
      return sql`state = 'running'`;
    case 'completed':
      return sql`state = 'completed'`;
    case 'failed':
      return sql`state = 'failed'`;
    case 'cancelled':
      return sql`state = 'cancelled'`;
  }
}

function matchesText(sql: Sql, text: string) {
  return isId(text)
    ? sql`id = ${Number(text)}`
    : sql`strpos(lower(request_id collate "C"), ${text.toLowerCase()}) > 0`;
}

function isId(text: string): boolean {
  return /^[1-9][0-9]{0,14}$/.test(text);
}

/** Returns whether the primary key or a partial index supports the filter. Every state but `completed` has one. */
function hasIndex({ state, queue, task, text }: JobFilter): boolean {
  if (text !== undefined && isId(text)) return true;
  if (state === undefined) return queue === undefined && task === undefined && text === undefined;
  return state !== 'completed';
}

/** Returns the id that is `maxRowsRead` rows below `before`; 0 if there are fewer rows. Reads only the index. */
async function findFloor(sql: Sql, before: number | undefined): Promise<number> {
  const [row] = await sql<{ id: number }[]>`
    select id from jobs
    where ${before === undefined ? sql`true` : sql`id < ${before}`}
    order by id desc
    limit 1 offset ${maxRowsRead - 1}`;
  return row?.id ?? 0;
}
