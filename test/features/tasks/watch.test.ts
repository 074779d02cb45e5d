import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { createJobWatch } from '../../../src/features/tasks/watch.ts';
import type { JobStatus } from '../../../src/jobs/job.ts';
import { currentRequest, runInRequest } from '../../../src/observability/request-context.ts';
import { eventually } from '../../helpers/eventually.ts';
import { jobStatus } from '../../helpers/job-status.ts';

/** A watch of jobs in memory, with the ids of every query so far. */
function watchMemory(jobs: Map<number, JobStatus>) {
  const questions: (readonly number[])[] = [];
  const { watch } = createJobWatch({
    async find(ids) {
      questions.push(ids);
      return ids.flatMap((id) => jobs.get(id) ?? []);
    },
    everyMs: 1,
  });
  return { watch, questions };
}

describe('watching jobs', () => {
  it('one query serves all watched jobs, and each watcher is called with its own job', async () => {
    const { watch, questions } = watchMemory(new Map([1, 2, 3].map((id) => [id, jobStatus({ id })])));
    const called = new Map<string, number | undefined>();
    const stops = [1, 2, 2, 3].map((id, index) => watch(id, (job) => called.set(`${index}`, job?.id)));
    await eventually('all watchers are called', () => called.size === 4);
    for (const stop of stops) stop();
    assert.deepEqual([...called.values()], [1, 2, 2, 3]);
    assert.deepEqual(questions[0], [1, 2, 3]);
  });

  it('polling stops without watchers and resumes with the next one', async () => {
    const { watch, questions } = watchMemory(new Map([[1, jobStatus({ id: 1 })]]));
    for (let round = 1; round <= 3; round += 1) {
      const called = createDeferred();
      const stop = watch(1, () => called.resolve());
      await called.promise;
      stop();
      const asked = questions.length;
      const since = performance.now();
      await eventually('many times of a question have passed', () => performance.now() - since > 30);
      assert.equal(questions.length, asked);
    }
  });

  it('a watcher is called with undefined when its job was deleted', async () => {
    const { watch } = watchMemory(new Map());
    const called = createDeferred<JobStatus | undefined>();
    const stop = watch(1, called.resolve);
    assert.equal(await called.promise, undefined);
    stop();
  });

  it('a watcher that was stopped during a query is not called', async () => {
    const asked = createDeferred();
    const answer = createDeferred<JobStatus[]>();
    const { watch } = createJobWatch({
      find() {
        asked.resolve();
        return answer.promise;
      },
      everyMs: 1,
    });
    const called: string[] = [];
    const other = createDeferred();
    const stop = watch(1, () => called.push('stopped'));
    const stopOther = watch(1, () => other.resolve());
    await asked.promise;
    stop();
    answer.resolve([jobStatus({ id: 1 })]);
    await other.promise;
    stopOther();
    assert.deepEqual(called, []);
  });

  it('after a failed query, watchers are called at the next successful one', async () => {
    let failures = 3;
    const { watch } = createJobWatch({
      async find() {
        if (failures > 0) {
          failures -= 1;
          throw new Error('The database is away.');
        }
        return [jobStatus({ id: 1, revision: 5 })];
      },
      everyMs: 1,
    });
    const called = createDeferred<JobStatus | undefined>();
    const stop = watch(1, called.resolve);
    assert.equal((await called.promise)?.revision, 5);
    stop();
  });

  it('queries of watched tasks run outside of requests, so that the end of the first request does not cancel them', async () => {
    const asked = createDeferred<boolean>();
    const { watch } = createJobWatch({
      async find() {
        asked.resolve(currentRequest() === undefined);
        return [];
      },
      everyMs: 1,
    });
    const stop = runInRequest({ id: 'r', signal: new AbortController().signal }, () => watch(1, () => {}));
    assert.equal(await asked.promise, true);
    stop();
  });
});
