import type { Sql } from '../../db/sql.ts';
import type { QueueDepth } from '../runner/job-metrics.ts';

/**
 * How many jobs wait in each of the queues, and for how long. At most 10,000 of each are looked at, those that come
 * first, so that the answer costs the same however far behind the runners are.
 */
export async function findQueueDepths(sql: Sql, queues: readonly string[]): Promise<QueueDepth[]> {
  return sql<QueueDepth[]>`
    select queue, found.waiting, greatest(0, coalesce(extract(epoch from now() - found.oldest), 0))::float8 as "oldestSeconds"
    from unnest(${[...queues]}::text[]) as known (queue)
    cross join lateral (
      select count(*) as waiting, min(run_at) as oldest
      from (
        select run_at from jobs
        where jobs.queue = known.queue and state = 'available'
        order by priority, id
        limit 10000
      ) as first
    ) as found`;
}
