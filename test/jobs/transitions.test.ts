/** Tests that the statements, the constraints of the table and the transitions in `jobs/job.ts` agree. */

import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { violatedConstraint } from '../../src/db/database-error.ts';
import {
  cancelRunning,
  claimJobs,
  completeInTransaction,
  completeJobs,
  failAttempt,
  markTransaction,
  recordProgress,
  releaseJobs,
  snoozeJob,
} from '../../src/jobs/attempt-store.ts';
import { isFinished, type JobState, jobStates, transitions } from '../../src/jobs/job.ts';
import { pollSession, takeOver } from '../../src/jobs/runner/runner-store.ts';
import { cancelJob, findJob, insertJob, retryJob, runJobsNow } from '../../src/jobs/store.ts';
import { newJob } from '../helpers/new-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const { sql, transaction } = await mustOpenTestDatabase({ after });
const queues = ['default'];
const error = { code: 'threw', message: 'No.' } as const;

interface Model {
  state: JobState;
  attempt: number;
  maxAttempts: number;
  losses: number;
  cancelRequested: boolean;
  errors: number;
}

/** The events of a job. An attempt is ended by its owner, or by a runner with an outdated claim. */
const events = [
  ...['claim', 'complete', 'complete in transaction', 'fail', 'fail permanently', 'snooze', 'release', 'end'],
  ...['progress', 'cancel', 'retry', 'run now', 'come due', 'take over'],
] as const;
type Event = (typeof events)[number];

interface Step {
  readonly event: Event;
  readonly stale: 'no' | 'attempt' | 'runner';
}

const step = fc.record<Step>({
  event: fc.constantFrom(...events),
  stale: fc.oneof(
    { weight: 6, arbitrary: fc.constant('no' as const) },
    { weight: 1, arbitrary: fc.constantFrom('attempt' as const, 'runner' as const) },
  ),
});

/** A walk that takes each transition at least once, in addition to random ones. */
const everyTransition = (
  [
    ...[
      'cancel',
      'retry',
      'claim',
      'fail',
      'run now',
      'come due',
      'claim',
      'fail permanently',
      'retry',
      'claim',
      'release',
    ],
    ...[
      'claim',
      'end',
      'retry',
      'claim',
      'snooze',
      'cancel',
      'retry',
      'claim',
      'take over',
      'claim',
      'complete',
    ],
  ] as const
).map((event): Step => ({ event, stale: 'no' }));

/** The expected job after an event. */
function predict(job: Model, { event, stale }: Step): Model {
  const own = job.state === 'running' && (stale === 'no' || event === 'take over');
  const failed = { errors: Math.min(20, job.errors + 1) };
  const leave = (state: JobState, change: Partial<Model> = {}): Model =>
    own
      ? { ...job, ...change, state: job.cancelRequested ? 'cancelled' : state, cancelRequested: false }
      : job;
  const isLast = job.attempt >= job.maxAttempts;
  switch (event) {
    case 'claim':
      return job.state === 'available' ? { ...job, state: 'running', attempt: job.attempt + 1 } : job;
    case 'complete':
    case 'complete in transaction':
      return own ? { ...job, state: 'completed', cancelRequested: false } : job;
    case 'fail':
      return leave(isLast ? 'failed' : 'scheduled', failed);
    case 'fail permanently':
      return leave('failed', failed);
    case 'snooze':
      return leave('scheduled', { maxAttempts: job.maxAttempts + 1 });
    case 'release':
      return leave('available', { maxAttempts: job.maxAttempts + 1 });
    case 'end':
      return leave('cancelled');
    case 'take over':
      return leave(job.losses + 1 >= 50 ? 'failed' : 'available', {
        ...failed,
        losses: job.losses + 1,
        maxAttempts: job.maxAttempts + 1,
      });
    case 'cancel':
      if (job.state === 'running') return { ...job, cancelRequested: true };
      return isFinished(job.state) ? job : { ...job, state: 'cancelled' };
    case 'retry':
      return job.state === 'failed' || job.state === 'cancelled'
        ? {
            ...job,
            state: 'available',
            maxAttempts: Math.max(job.maxAttempts, job.attempt + 1),
            losses: Math.min(job.losses, 1),
          }
        : job;
    case 'come due':
    case 'run now':
      return job.state === 'scheduled' ? { ...job, state: 'available' } : job;
    case 'progress':
      return job;
  }
}

/** Applies the event. A running job belongs to runner 1, whose lock is free, so it can be taken over. */
async function happen(id: number, job: Model, { event, stale }: Step): Promise<void> {
  const attempt = stale === 'attempt' ? job.attempt - 1 : job.attempt;
  const runner = stale === 'runner' ? 2 : 1;
  const own = { id, attempt, runner };
  switch (event) {
    case 'claim':
      return void (await claimJobs(sql, { runner: 1, queues, limit: 5, suspects: 5 }));
    case 'complete':
      return void (await completeJobs(sql, { runner, done: [{ ...own, result: '{"done":true}' }] }));
    case 'complete in transaction':
      return transaction(async (tx) => {
        await markTransaction(tx, own);
        await completeInTransaction(tx, { ...own, result: null });
      });
    case 'fail':
      return void (await failAttempt(sql, { ...own, error, retryAfterMs: 3_600_000 }));
    case 'fail permanently':
      return void (await failAttempt(sql, { ...own, error, retryAfterMs: null }));
    case 'snooze':
      return void (await snoozeJob(sql, { ...own, delayMs: Number.POSITIVE_INFINITY }));
    case 'release':
      return void (await releaseJobs(sql, { runner, jobs: [own] }));
    case 'end':
      return void (await cancelRunning(sql, own));
    case 'progress':
      return recordProgress(sql, { runner, entries: [{ ...own, fraction: 7, message: 'on\0ward' }] });
    case 'cancel':
      return void (await cancelJob(sql, id));
    case 'retry':
      return void (await retryJob(sql, id));
    case 'run now':
      return void (await runJobsNow(sql, [id]));
    case 'come due':
      await sql`update jobs set run_at = now() where state = 'scheduled'`;
      return void (await pollSession(sql, { runner: 1, queues }));
    case 'take over':
      await transaction((tx) => takeOver(tx, 1));
      return register();
  }
}

async function register(): Promise<void> {
  await sql`
    insert into job_runners (id, host, pid, version, threads) values (1, 'test', 1, '0.0.0', 1)
    on conflict do nothing`;
}

it('a job follows only its allowed transitions, for events in any order', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      await sql`truncate jobs`;
      await register();
      const { job: inserted } = await insertJob(sql, newJob({ maxAttempts: 2 }));
      let before = inserted;
      for (const each of steps) {
        const model = { ...before, errors: before.errors.length };
        const expected = predict(model, each);
        await happen(before.id, model, each);
        const job = await findJob(sql, before.id);
        assert.ok(job !== undefined);
        const { state, attempt, maxAttempts, losses, cancelRequested, errors } = job;
        const found = { state, attempt, maxAttempts, losses, cancelRequested, errors: errors.length };
        assert.deepEqual(found, pick(expected), `${before.state}: ${each.event}, stale: ${each.stale}`);
        const isProgress = each.event === 'progress' && state === 'running' && each.stale === 'no';
        if (isDeepStrictEqual(found, pick(model)) && !isProgress) assert.deepEqual(job, before);
        else assert.equal(job.revision, before.revision + 1);
        if (state !== before.state) {
          assert.ok(transitions[before.state].includes(state), `${before.state} -> ${state}`);
          seen.add(`${before.state} -> ${state}`);
        }
        before = job;
      }
    }),
    { numRuns: 60, examples: [[everyTransition]] },
  );
  const all = jobStates.flatMap((from) => transitions[from].map((to) => `${from} -> ${to}`));
  assert.deepEqual([...seen].sort(), all.sort());
});

function pick({ state, attempt, maxAttempts, losses, cancelRequested, errors }: Model): Model {
  return { state, attempt, maxAttempts, losses, cancelRequested, errors };
}

it('the table accepts a row only if its columns match its state', async () => {
  const row = fc.record({
    state: fc.constantFrom(...jobStates),
    attempt: fc.integer({ min: -1, max: 3 }),
    priority: fc.constantFrom(0, 0, 1000, -1, 1001),
    runner: fc.constantFrom(null, 1),
    cancelRequested: fc.boolean(),
    startedAt: fc.constantFrom(null, new Date()),
    finishedAt: fc.constantFrom(null, new Date()),
    result: fc.constantFrom(null, '1'),
    errors: fc.constantFrom('[]', '[{}]'),
  });
  const counts = { accepted: 0, rejected: 0 };
  await fc.assert(
    fc.asyncProperty(row, async (facts) => {
      const { state, attempt, priority, runner, cancelRequested, startedAt, finishedAt, result, errors } =
        facts;
      const isRunning = state === 'running';
      const isValid =
        isRunning === (runner !== null) &&
        isFinished(state) === (finishedAt !== null) &&
        (isRunning ? startedAt !== null && attempt > 0 : !cancelRequested) &&
        (state === 'completed' || result === null) &&
        (state !== 'failed' || errors !== '[]') &&
        [0, 1, 2].includes(attempt) &&
        [0, 1000].includes(priority);
      const insert = sql`
        insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, runner,
          cancel_requested, started_at, finished_at, result, errors)
        values ('add', 'default', ${state}, ${priority}, '{}', ${attempt}, 2, 1000, ${runner},
          ${cancelRequested}, ${startedAt}, ${finishedAt}, ${result}::text::jsonb, ${errors}::text::jsonb)`;
      const broken = await insert.then(() => undefined, violatedConstraint);
      assert.equal(broken === undefined, isValid, broken);
      counts[isValid ? 'accepted' : 'rejected'] += 1;
    }),
    { numRuns: 1000 },
  );
  assert.ok(counts.accepted > 0 && counts.rejected > 0, JSON.stringify(counts));
});
