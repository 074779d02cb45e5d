import assert from 'node:assert/strict';
import { after, beforeEach, describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { pauseQueue } from '../../src/jobs/admin/operations.ts';
import {
  claimJobs,
  completeJobs,
  failAttempt,
  recordProgress,
  releaseJobs,
  snoozeJob,
} from '../../src/jobs/attempt-store.ts';
import {
  availableChannel,
  cancelChannel,
  cancelJob,
  findJob,
  findJobs,
  insertJob,
  pruneJobs,
  retryJob,
  runJobsNow,
} from '../../src/jobs/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { newJob } from '../helpers/new-job.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after }, { poolSize: 10 });
const { sql, transaction } = database;
const day = 86_400_000;

beforeEach(async () => {
  await sql`truncate jobs, job_runners, job_queues`;
  await sql`insert into job_runners (id, host, pid, version, threads) values (1, 'test', 1, '0.0.0', 1)`;
});

const count = async () => Number((await sql`select count(*) as jobs from jobs`)[0]?.jobs);
const claim = (limit: number, queues = ['default']) =>
  claimJobs(sql, { runner: 1, queues, limit, suspects: 0 });

/** Collects the notifications of a channel. */
async function mustListen(t: TestContext, channel: string): Promise<string[]> {
  const notifications: string[] = [];
  const client = postgres(database.url, { max: 1, onnotice: () => {} });
  t.after(() => client.end({ timeout: 0 }));
  await client.listen(channel, (payload) => notifications.push(payload));
  return notifications;
}

describe('a job that is enqueued', () => {
  it('an enqueued job waits, with all of its options', async () => {
    const { job, isNew } = await insertJob(
      sql,
      newJob({ payload: '{"to":"ada"}', requestId: 'req-1', priority: 7, uniqueKey: 'once' }),
    );
    assert.equal(isNew, true);
    assert.deepEqual(job, await findJob(sql, job.id));
    assert.equal(job.state, 'available');
    assert.deepEqual(job.payload, { to: 'ada' });
    assert.equal(job.requestId, 'req-1');
    assert.equal(job.priority, 7);
    assert.equal(job.attempt, 0);
  });

  it('an enqueued job notifies the runners with the name of its queue when its transaction commits, and not before', async (t) => {
    const notifications = await mustListen(t, availableChannel);
    await transaction(async (tx) => {
      await insertJob(tx, newJob({ queue: 'mails' }));
      await insertJob(sql, newJob({ queue: 'other' }));
      await eventually('the other job is announced', () => notifications.length > 0);
      assert.deepEqual(notifications, ['other']);
    });
    await eventually('the job is announced', () => notifications.length > 1);
    assert.deepEqual(notifications, ['other', 'mails']);
  });

  it('an enqueued job does not exist if its transaction is rolled back', async (t) => {
    const notifications = await mustListen(t, availableChannel);
    const failure = new Error('The effect failed.');
    const work = transaction(async (tx) => {
      await insertJob(tx, newJob({ queue: 'never' }));
      throw failure;
    });
    await assert.rejects(work, failure);
    await insertJob(sql, newJob({ queue: 'later' }));
    await eventually('the later job is announced', () => notifications.length > 0);
    assert.deepEqual(notifications, ['later']);
    assert.equal(await count(), 1);
  });

  it('an enqueued job with a later time is scheduled, and notifies no runner', async (t) => {
    const notifications = await mustListen(t, availableChannel);
    const runAt = new Date(Date.now() + day);
    const { job } = await insertJob(sql, newJob({ runAt, queue: 'tomorrow' }));
    assert.equal(job.state, 'scheduled');
    assert.deepEqual(job.runAt, runAt);
    await insertJob(sql, newJob({ runAt: new Date(0), queue: 'now' }));
    await eventually('the other job is announced', () => notifications.length > 0);
    assert.deepEqual(notifications, ['now']);
  });
});

describe('a unique key', () => {
  it('a unique key makes one job of 50 concurrent enqueues, and returns it to all', async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, () => insertJob(sql, newJob({ uniqueKey: 'user 1' }))),
    );
    assert.equal(all.filter(({ isNew }) => isNew).length, 1);
    assert.equal(new Set(all.map(({ job }) => job.id)).size, 1);
    assert.equal(await count(), 1);
  });

  it('a unique key is free for a waiting enqueue when the transaction that took it is rolled back', async () => {
    const taken = createDeferred();
    const rollBack = createDeferred();
    const first = transaction(async (tx) => {
      await insertJob(tx, newJob({ uniqueKey: 'user 1' }));
      taken.resolve();
      await rollBack.promise;
      throw new Error('No.');
    });
    await taken.promise;
    const second = insertJob(sql, newJob({ uniqueKey: 'user 1' }));
    rollBack.resolve();
    await assert.rejects(first);
    assert.equal((await second).isNew, true);
  });

  it('a unique key is free when its job has finished, and belongs to one task', async () => {
    const { job } = await insertJob(sql, newJob({ uniqueKey: 'user 1' }));
    await cancelJob(sql, job.id);
    assert.equal((await insertJob(sql, newJob({ uniqueKey: 'user 1' }))).isNew, true);
    assert.equal((await insertJob(sql, newJob({ uniqueKey: 'user 1', name: 'subtract' }))).isNew, true);
  });
});

describe('a claim', () => {
  it('a claim takes the lowest priority first, then the oldest, over all served queues', async () => {
    const order = ['b', 'a', 'b', 'unknown', 'a'];
    const priorities = [200, 100, 100, 0, 0];
    const ids: number[] = [];
    for (const [index, queue] of order.entries()) {
      ids.push((await insertJob(sql, newJob({ queue, priority: priorities[index] ?? 0 }))).job.id);
    }
    const jobs = await claim(3, ['a', 'b']);
    assert.deepEqual(
      jobs.map(({ id }) => id),
      [ids[4], ids[1], ids[2]],
    );
    assert.ok(jobs.every(({ attempt, runner, waitMs }) => attempt === 1 && runner === 1 && waitMs >= 0));
  });

  it('a claim finds nothing in a paused queue', async () => {
    await insertJob(sql, newJob());
    await pauseQueue(sql, 'default');
    assert.deepEqual(await claim(1), []);
  });

  it('concurrent claims give each job to one runner', async () => {
    await sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      select 'add', 'default', 'available', i % 3, '{}', 3, 1000 from generate_series(1, 500) as i`;
    const claimer = async () => {
      const ids: number[] = [];
      for (let batch = await claim(7); batch.length > 0; batch = await claim(7)) {
        ids.push(...batch.map(({ id }) => id));
      }
      return ids;
    };
    const claimed = (await Promise.all(Array.from({ length: 10 }, claimer))).flat();
    assert.equal(claimed.length, 500);
    assert.equal(new Set(claimed).size, 500);
  });
});

describe('the progress of a job', () => {
  const error = { code: 'threw', message: 'No.' } as const;
  async function mustBeHalfway() {
    await insertJob(sql, newJob());
    const [job] = await claim(1);
    if (job === undefined) throw new Error('Nothing was claimed.');
    const { id, attempt } = job;
    await recordProgress(sql, { runner: 1, entries: [{ id, attempt, fraction: 0.5, message: 'Line 50' }] });
    return { id, attempt };
  }
  const progressOf = async (id: number) => {
    const job = await findJob(sql, id);
    return [job?.state, job?.progress, job?.progressMessage];
  };

  it('a completed job has no progress message', async () => {
    const job = await mustBeHalfway();
    await completeJobs(sql, { runner: 1, done: [{ ...job, result: null }] });
    assert.deepEqual(await progressOf(job.id), ['completed', 1, null]);
  });

  it('progress is reset when a job waits for another attempt', async () => {
    const released = await mustBeHalfway();
    await releaseJobs(sql, { runner: 1, jobs: [released] });
    assert.deepEqual(await progressOf(released.id), ['available', 0, null]);
    await sql`truncate jobs`;
    const failing = await mustBeHalfway();
    await failAttempt(sql, { ...failing, runner: 1, error, retryAfterMs: 60_000 });
    assert.deepEqual(await progressOf(failing.id), ['scheduled', 0, null]);
    const snoozed = await mustBeHalfway();
    await snoozeJob(sql, { ...snoozed, runner: 1, delayMs: 60_000 });
    assert.deepEqual(await progressOf(snoozed.id), ['scheduled', 0, null]);
  });

  it('progress is kept when a job has failed or was cancelled', async () => {
    const failed = await mustBeHalfway();
    await failAttempt(sql, { ...failed, runner: 1, error, retryAfterMs: null });
    assert.deepEqual(await progressOf(failed.id), ['failed', 0.5, 'Line 50']);
    const released = await mustBeHalfway();
    await cancelJob(sql, released.id);
    await releaseJobs(sql, { runner: 1, jobs: [released] });
    assert.deepEqual(await progressOf(released.id), ['cancelled', 0.5, 'Line 50']);
  });
});

describe('a job that is cancelled', () => {
  it('a waiting job that is cancelled never runs', async () => {
    const { job } = await insertJob(sql, newJob());
    assert.equal((await cancelJob(sql, job.id))?.job.state, 'cancelled');
    assert.deepEqual(await claim(1), []);
  });

  it('a running job that is cancelled continues until its runner has stopped it, and is announced once', async (t) => {
    const notifications = await mustListen(t, cancelChannel);
    const { job } = await insertJob(sql, newJob());
    await claim(1);
    const cancelled = await cancelJob(sql, job.id);
    assert.deepEqual(
      [cancelled?.job.state, cancelled?.job.cancelRequested, cancelled?.isChanged],
      ['running', true, true],
    );
    assert.deepEqual(await cancelJob(sql, job.id), { job: cancelled?.job, isChanged: false });
    await sql`select pg_notify(${cancelChannel}, 'end')`;
    await eventually('all is announced', () => notifications.includes('end'));
    assert.deepEqual(notifications, [String(job.id), 'end']);
  });

  it('cancelling returns a finished job unchanged, and undefined for an unknown job', async () => {
    const id = await mustStoreJob(sql, { state: 'completed' });
    assert.deepEqual(await cancelJob(sql, id), { job: await findJob(sql, id), isChanged: false });
    assert.equal(await cancelJob(sql, id + 1), undefined);
  });
});

describe('a job that an operator retries', () => {
  it('a retried job has an attempt left, keeps its history and is announced', async (t) => {
    const notifications = await mustListen(t, availableChannel);
    const id = await mustStoreJob(sql, { state: 'failed', queue: 'default' });
    await sql`update jobs set attempt = 10 where id = ${id}`;
    const job = await retryJob(sql, id);
    assert.deepEqual(
      [job?.state, job?.attempt, job?.maxAttempts, job?.errors.length],
      ['available', 10, 11, 1],
    );
    await eventually('it is announced', () => notifications.length === 1);
    assert.equal((await claim(1))[0]?.attempt, 11);
  });

  it('a retried job has the times of the last 20 retries', async () => {
    const id = await mustStoreJob(sql, { state: 'failed' });
    const [before] = await sql<{ at: Date }[]>`select date_trunc('milliseconds', clock_timestamp()) as at`;
    for (let time = 1; time <= 21; time += 1) {
      await retryJob(sql, id);
      await cancelJob(sql, id);
    }
    const retries = (await findJob(sql, id))?.retries ?? [];
    assert.equal(retries.length, 20);
    assert.deepEqual(retries, [...retries].sort(), 'the oldest first');
    assert.ok(retries.every((at) => before !== undefined && at >= before.at.toISOString()));
  });

  it('only a failed or cancelled job can be retried', async () => {
    for (const state of ['available', 'scheduled', 'running', 'completed'] as const) {
      const id = await mustStoreJob(sql, { state });
      assert.equal(await retryJob(sql, id), undefined, state);
    }
    assert.equal(await retryJob(sql, 0), undefined);
  });
});

it('a scheduled job that is run now is available, announced, and keeps the time in its history', async (t) => {
  const notifications = await mustListen(t, availableChannel);
  const later = new Date(Date.now() + 3_600_000);
  const id = await mustStoreJob(sql, { state: 'scheduled', queue: 'default', runAt: later });
  const untouched = await mustStoreJob(sql, { state: 'scheduled', runAt: later });
  const others = await Promise.all(
    (['available', 'completed', 'failed', 'cancelled'] as const).map((state) => mustStoreJob(sql, { state })),
  );
  assert.deepEqual(await runJobsNow(sql, [id, 0, ...others]), [id]);
  const job = await findJob(sql, id);
  assert.deepEqual([job?.state, job?.retries.length, job?.maxAttempts], ['available', 1, 10]);
  assert.ok(job !== undefined && job.runAt < later);
  await eventually('it is announced', () => notifications.length === 1);
  assert.equal((await findJob(sql, untouched))?.state, 'scheduled');
  assert.deepEqual(await runJobsNow(sql, [id]), [], 'a second call changes nothing');
});

it('pruning deletes completed jobs and others by their own ages, oldest first, in batches', async () => {
  const ago = (days: number) => new Date(Date.now() - days * day);
  const stored = await Promise.all([
    mustStoreJob(sql, { state: 'completed', finishedAt: ago(6) }),
    mustStoreJob(sql, { state: 'failed', finishedAt: ago(29) }),
    mustStoreJob(sql, { state: 'cancelled', finishedAt: ago(29) }),
    mustStoreJob(sql, { state: 'available', runAt: ago(90) }),
  ]);
  for (const finishedAt of [ago(8), ago(9), ago(31)]) {
    await mustStoreJob(sql, { state: 'completed', finishedAt });
    await mustStoreJob(sql, { state: finishedAt < ago(30) ? 'failed' : 'completed', finishedAt });
  }
  const keep = { completedDays: 7, failedDays: 30 };
  assert.equal(await pruneJobs(sql, 4, keep), 4);
  assert.equal(await pruneJobs(sql, 4, keep), 2);
  assert.equal(await pruneJobs(sql, 4, keep), 0);
  const left = await sql<{ id: number }[]>`select id from jobs`;
  assert.deepEqual(
    left.map(({ id }) => id).sort((one, other) => one - other),
    [...stored].sort((one, other) => one - other),
  );
});

it('several jobs are found ordered by id, without their payloads', async () => {
  const { job: first } = await insertJob(sql, newJob());
  const { job: second } = await insertJob(sql, newJob());
  const { payload, ...status } = first;
  const found = await findJobs(sql, [second.id, 0, first.id]);
  assert.deepEqual(found[0], status);
  assert.equal(found[1]?.id, second.id);
  assert.equal(found.length, 2);
});
