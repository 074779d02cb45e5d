import type { Database } from '../../src/db/database.ts';
import {
  type ClaimedJob,
  cancelRunning,
  claimJobs,
  completeJobs,
  failAttempt,
  recordProgress,
} from '../../src/jobs/attempt-store.ts';
import type { AttemptError } from '../../src/jobs/thread/thread-messages.ts';

/** A runner without threads: the test claims jobs and finishes each attempt itself. */
export interface ManualRunner {
  /** Claims the next job of the queue. Throws if there is none. */
  mustClaim(queue: string): Promise<ClaimedJob>;
  progress(job: ClaimedJob, fraction: number, message?: string): Promise<void>;
  complete(job: ClaimedJob, result: unknown): Promise<void>;
  /** Fails the attempt. The job fails too unless `retryAfterMs` is given. */
  fail(job: ClaimedJob, error: AttemptError, retryAfterMs?: number): Promise<void>;
  endCancelled(job: ClaimedJob): Promise<void>;
}

export async function mustCreateManualRunner({ sql }: Database): Promise<ManualRunner> {
  const runner = 1_000_000;
  await sql`
    insert into job_runners (id, host, pid, version, threads) values (${runner}, 'test', 1, '0.0.0', 1)
    on conflict do nothing`;
  return {
    async mustClaim(queue) {
      const [job] = await claimJobs(sql, { runner, queues: [queue], limit: 1, suspects: 1 });
      if (job === undefined) throw new Error(`No job is available in the queue ${queue}.`);
      return job;
    },
    progress: ({ id, attempt }, fraction, message) =>
      recordProgress(sql, { runner, entries: [{ id, attempt, fraction, message: message ?? null }] }),
    async complete({ id, attempt }, result) {
      await completeJobs(sql, { runner, done: [{ id, attempt, result: JSON.stringify(result) }] });
    },
    async fail({ id, attempt }, error, retryAfterMs) {
      await failAttempt(sql, { id, attempt, runner, error, retryAfterMs: retryAfterMs ?? null });
    },
    async endCancelled({ id, attempt }) {
      await cancelRunning(sql, { id, attempt, runner });
    },
  };
}
