import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import * as z from 'zod';
import { AppError } from '../../src/errors.ts';
import { createQueue, type EnqueueOptions } from '../../src/jobs/queue.ts';
import { defineTask } from '../../src/jobs/task.ts';
import { runInRequest } from '../../src/observability/request-context.ts';
import { parseTraceContext } from '../../src/observability/trace-context.ts';
import { mustCreateManualRunner } from '../helpers/manual-runner.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after });
const { sql } = database;

const greet = defineTask({
  name: 'greet',
  queue: 'mails',
  priority: 50,
  payload: z.strictObject({
    to: z.string().min(2),
    at: z.iso.datetime().transform((at) => new Date(at)),
    'a/b': z.array(z.number()).optional(),
  }),
});
const anything = defineTask({ name: 'anything', payload: z.unknown() });
const queue = createQueue({ definitions: [greet, anything] });
const payload = { to: 'ada', at: '2026-01-31T12:00:00Z' };

beforeEach(() => sql`truncate jobs`);

/** Returns the error of enqueueing. Fails the test if a job was added. */
async function mustReject(work: Promise<unknown>, code: string): Promise<AppError> {
  const error = await work.then(
    () => assert.fail('It was enqueued.'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError);
  assert.equal(error.code, code);
  assert.match(error.message, /^[A-Z].*\.$/);
  assert.equal((await sql`select from jobs`).length, 0);
  return error;
}

describe('a job in the queue', () => {
  it('a job has the options of its task unless overridden, and the id of the request', async () => {
    const signal = new AbortController().signal;
    const { job } = await runInRequest({ id: 'req-7', signal }, () => queue.enqueue(sql, greet, payload));
    assert.deepEqual(
      [job.name, job.queue, job.priority, job.maxAttempts, job.timeoutMs, job.requestId, job.userId],
      ['greet', 'mails', 50, 10, 60_000, 'req-7', null],
    );
    const options = { priority: 0, maxAttempts: 1, timeoutMs: 5, uniqueKey: 'ada' };
    const other = await queue.enqueueByName(sql, 'greet', payload, options);
    const { priority, maxAttempts, timeoutMs, uniqueKey, requestId } = other.job;
    assert.deepEqual({ priority, maxAttempts, timeoutMs, uniqueKey }, options);
    assert.equal(requestId, null);
  });

  it('each attempt of a job is a new span of the trace that enqueued the job', async () => {
    const { signal } = new AbortController();
    const trace = parseTraceContext(`00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, 'vendor=1');
    assert.ok(trace !== undefined);
    const { job } = await runInRequest({ id: 'req-8', signal, trace }, () =>
      queue.enqueue(sql, greet, payload),
    );
    await queue.enqueue(sql, greet, payload);
    const runner = await mustCreateManualRunner(database);
    const traced = await runner.mustClaim('mails');
    const other = await runner.mustClaim('mails');
    assert.equal(traced.id, job.id);
    assert.deepEqual(traced.parent, trace);
    assert.deepEqual({ ...traced.trace, spanId: trace.spanId }, trace);
    assert.notEqual(traced.trace.spanId, trace.spanId);
    assert.equal(other.parent, undefined);
    assert.notEqual(other.trace.traceId, trace.traceId);
  });

  it('a job stores the payload as it was passed, so that its schema can parse it again', async () => {
    const { job } = await queue.enqueue(sql, greet, payload);
    assert.deepEqual(job.payload, payload);
    assert.deepEqual(greet.payload.parse(job.payload).at, new Date(payload.at));
  });

  it('enqueueing with the unique key of a waiting job returns that job', async () => {
    const first = await queue.enqueue(sql, greet, payload, { uniqueKey: 'ada' });
    const second = await queue.enqueue(sql, greet, { ...payload, to: 'bob' }, { uniqueKey: 'ada' });
    assert.deepEqual(second, { job: first.job, isNew: false });
  });

  it('a job cannot be retried while another has its unique key', async () => {
    const { job } = await queue.enqueue(sql, greet, payload, { uniqueKey: 'ada' });
    await queue.cancel(sql, job.id);
    await queue.enqueue(sql, greet, payload, { uniqueKey: 'ada' });
    await assert.rejects(
      queue.retry(sql, job.id),
      (error) => error instanceof AppError && error.code === 'conflict',
    );
  });
});

describe('enqueueing is rejected with a sentence', () => {
  it('a task that is not in the list is rejected', async () => {
    const error = await mustReject(queue.enqueueByName(sql, 'fly', {}), 'unknown_task');
    assert.match(error.message, /greet, anything/);
    const unlisted = defineTask({ name: 'unlisted', payload: z.unknown() });
    await mustReject(queue.enqueue(sql, unlisted, {}), 'unknown_task');
  });

  const errors: [what: string, payload: unknown, expected: [pointer: string, detail: RegExp][]][] = [
    ['a payload without a field', { at: payload.at }, [['/to', /required/]]],
    ['an unknown field', { ...payload, cc: 1 }, [['/cc', /does not exist/]]],
    [
      'several errors at once, one below a name with a slash',
      { to: 'a', at: 'noon', 'a/b': [1, '2'] },
      [
        ['/to', /2/],
        ['/at', /datetime/],
        ['/a~1b/1', /number/],
      ],
    ],
    ['an undefined payload', undefined, [['', /object/]]],
    [
      'a Date, which a runner would read as a string',
      { ...payload, to: new Date(), at: 1 },
      [['/at', /string/]],
    ],
  ];
  for (const [what, bad, expected] of errors) {
    it(`${what} is rejected`, async () => {
      const { errors = [] } = await mustReject(queue.enqueueByName(sql, 'greet', bad), 'validation_failed');
      assert.deepEqual(
        errors.map(({ pointer }) => pointer),
        expected.map(([pointer]) => pointer),
      );
      for (const [index, [, detail]] of expected.entries()) assert.match(errors[index]?.detail ?? '', detail);
    });
  }

  const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
  const circle: unknown[] = [];
  circle.push(circle);
  const noJson: [what: string, payload: unknown][] = [
    ['a payload of more than 1 MB', 'é'.repeat(524_288)],
    ['a payload with a circular reference', circle],
    ['a payload with a bigint', [1n]],
    ['a payload of 65 nested arrays', nested(65)],
    ['a payload of thousands of nested arrays', nested(4000)],
    ['a NUL character', ['\0']],
    ['an unpaired surrogate', { '\ud800': 1 }],
  ];
  for (const [what, bad] of noJson) {
    it(`${what} is rejected`, async () => {
      const { errors } = await mustReject(queue.enqueue(sql, anything, bad), 'validation_failed');
      assert.deepEqual(
        errors?.map(({ pointer }) => pointer),
        [''],
      );
    });
  }

  const options: [what: string, option: EnqueueOptions][] = [
    ['a negative priority', { priority: -1 }],
    ['a fractional priority', { priority: 1.5 }],
    ['a priority above 1000', { priority: 1001 }],
    ['zero attempts', { maxAttempts: 0 }],
    ['a timeout of 0 ms', { timeoutMs: 0 }],
    ['a timeout beyond the limit of timers', { timeoutMs: 2 ** 31 }],
    ['an empty unique key', { uniqueKey: '' }],
    ['a unique key with a NUL', { uniqueKey: 'a\0' }],
    ['a unique key of 201 characters', { uniqueKey: 'k'.repeat(201) }],
    ['an invalid date', { runAt: new Date(Number.NaN) }],
    ['a date after the year 9999', { runAt: new Date(8.64e15) }],
  ];
  for (const [what, option] of options) {
    it(`${what} is rejected`, async () => {
      const { errors } = await mustReject(queue.enqueue(sql, anything, 1, option), 'validation_failed');
      assert.deepEqual(
        errors?.map(({ pointer }) => pointer),
        [`/${Object.keys(option)[0]}`],
      );
    });
  }
});

it('a payload of 1 MB is accepted, also if it needs the most storage', async () => {
  for (const large of ['x'.repeat(1_048_574), new Array(524_287).fill(1), new Array(349_525).fill([])]) {
    const { job } = await queue.enqueue(sql, anything, large);
    assert.equal(JSON.stringify(job.payload), JSON.stringify(large));
  }
});
