import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Outcome } from '../../../src/jobs/thread/thread-messages.ts';
import { createThreadPool } from '../../../src/jobs/thread/thread-pool.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { startTrace } from '../../../src/observability/trace-context.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartPool, testThreadEntry } from '../../helpers/thread-pool.ts';

/** Shared by tests that need no pool of their own, because starting a thread from sources is slow. */
const pool = await mustStartPool({ after });

/** A pool that gives aborted attempts enough time to end on their own, however slow the machine is. */
const patient = await mustStartPool({ after }, { abortGraceMs: 20_000 });

const nothing: Outcome = { kind: 'returned', result: null };

/** Returns the code and the message of a failed attempt, and whether it is final. */
function failureOf(outcome: Outcome): readonly [code: string, message: string, final: boolean] {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  if (outcome.kind !== 'failed') throw new Error('It has not failed.');
  return [outcome.error.code, outcome.error.message, outcome.final];
}

/** Writes a file with the code of a thread, for one test. */
async function mustWriteEntry(t: TestContext, code: string): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-thread-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'entry.mjs'), code);
  return pathToFileURL(join(folder, 'entry.mjs'));
}

describe('an attempt in a thread', () => {
  it('an attempt gets its payload and its number, and returns its result as JSON text', async () => {
    const outcome = await pool.runTask('echo', { id: 5, attempt: 2, userId: 9, payload: { at: 'x' } });
    assert.deepEqual(outcome, {
      kind: 'returned',
      result: '{"given":{"at":"x"},"job":{"id":5,"attempt":2,"maxAttempts":10,"userId":9}}',
    });
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('attempts without a free thread wait in order', async () => {
    const ended: number[] = [];
    await Promise.all(
      [1, 2, 3].map(async (id) => {
        await pool.runTask('no_op', { id });
        ended.push(id);
      }),
    );
    assert.deepEqual(ended, [1, 2, 3]);
    assert.equal(pool.free(), 1);
  });

  const failures: [what: string, task: string, code: string, message: RegExp, final: boolean][] = [
    [
      'an attempt that throws fails with its message',
      'throws',
      'threw',
      /^It went wrong: The root of it$/,
      false,
    ],
    [
      'an attempt that rejects fails with its message',
      'rejects',
      'threw',
      /^There is one already: choose/,
      false,
    ],
    [
      'an attempt that throws a value other than an Error fails',
      'throws_text',
      'threw',
      /^Thrown value: a text$/,
      false,
    ],
    ['an attempt that refuses fails permanently', 'refuses', 'refused', /^Two lines are wrong\.$/, true],
    [
      'an attempt that snoozes without a valid delay fails',
      'snoozes_for_no_time',
      'threw',
      /got NaN ms/,
      false,
    ],
    ['an attempt of an unknown task fails', 'nobody_knows', 'unknown_task', /no task nobody_knows/, false],
    [
      'an attempt with a too large result fails permanently',
      'returns_too_much',
      'invalid_result',
      /more than 1048576 bytes/,
      true,
    ],
    [
      'an attempt with a result that is not JSON fails permanently',
      'returns_a_circle',
      'invalid_result',
      /or has a circular reference/,
      true,
    ],
    [
      'an attempt that throws in a timer fails when its thread exits',
      'throws_in_a_timer',
      'thread_ended',
      /Thrown by a timer/,
      false,
    ],
    [
      'an attempt with an unhandled rejection fails when its thread exits',
      'rejects_unheard',
      'thread_ended',
      /It has no handler/,
      false,
    ],
    [
      'an attempt that exits fails when its thread exits',
      'exits',
      'thread_ended',
      /exited with code 7/,
      false,
    ],
    [
      'an attempt that leaks memory fails at its memory limit',
      'leaks',
      'out_of_memory',
      /more than its 64 MB/,
      false,
    ],
  ];
  for (const [what, task, code, message, final] of failures) {
    it(`${what} with the code ${code}, and the next attempt runs`, async () => {
      const [gotCode, gotMessage, gotFinal] = failureOf(await pool.runTask(task));
      assert.equal(gotCode, code);
      assert.match(gotMessage, message);
      assert.equal(gotFinal, final);
      assert.deepEqual(await pool.runTask('no_op'), nothing);
    });
  }

  // Node 26 drops such a message silently; then the timeout terminates the thread.
  it('an attempt that sends an unreadable message fails when its thread exits, and the next attempt runs', async () => {
    const [code, , isFinal] = failureOf(await pool.runTask('sends_a_depth', { timeoutMs: 2000 }));
    assert.match(code, /^(?:thread_ended|timeout)$/);
    assert.equal(isFinal, false);
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('an attempt whose payload does not match the schema fails permanently, with the path of the error', async () => {
    const [code, message, final] = failureOf(await pool.runTask('echo', { payload: { at: 7 } }));
    assert.deepEqual([code, final], ['invalid_payload', true]);
    assert.match(message, /expected string, received number\s+→ at at/);
  });

  it('an attempt that throws keeps the stacks of the error and of its causes', async () => {
    const outcome = await pool.runTask('throws');
    const stack = outcome.kind === 'failed' ? outcome.error.stack : undefined;
    assert.match(
      stack ?? '',
      /Error: It went wrong\.\n\s+at .*thread-entry\.ts[\s\S]*Caused by: Error: The root/,
    );
  });

  it('an attempt that refuses stores its details', async () => {
    const outcome = await pool.runTask('refuses');
    assert.deepEqual(outcome.kind === 'failed' && outcome.error.details, {
      rows: [{ line: 2 }, { line: 7 }],
    });
  });

  it('an attempt that refuses with details that are nested too deeply has refused, without the details', async () => {
    const outcome = await pool.runTask('refuses_deeply', { timeoutMs: 5000 });
    assert.deepEqual(failureOf(outcome), [
      'refused',
      'It is deep. (Its details are left out: they nest more than 64 arrays and objects.)',
      true,
    ]);
    assert.equal(outcome.kind === 'failed' && outcome.error.details, undefined);
  });

  it('an attempt may return 64 nested arrays, and fails permanently with more', async () => {
    assert.equal((await pool.runTask('returns_a_depth', { payload: { at: '64' } })).kind, 'returned');
    for (const at of ['65', '4000']) {
      const outcome = await pool.runTask('returns_a_depth', { payload: { at }, timeoutMs: 5000 });
      const [code, message, final] = failureOf(outcome);
      assert.deepEqual([code, final], ['invalid_result', true]);
      assert.match(message, /more than 64 arrays and objects/);
    }
  });

  it('an attempt whose payload is nested too deeply for a message fails, and the next one runs', async () => {
    for (const depth of [4000, 100_000]) {
      const payload: unknown = JSON.parse('['.repeat(depth) + ']'.repeat(depth));
      const outcome = await pool.runTask('echo', { payload, timeoutMs: 5000 });
      assert.equal(outcome.kind, 'failed');
      assert.notEqual(outcome.kind === 'failed' && outcome.error.code, 'timeout');
      assert.deepEqual(await pool.runTask('no_op'), nothing);
    }
  });

  it('an attempt that gets no database connection is snoozed, and logs the reason', async (t) => {
    const pool = await mustStartPool(t, { databaseUrl: 'postgres://ada@127.0.0.1:1/x' });
    assert.deepEqual(await pool.runTask('asks_the_database', { id: 7 }), { kind: 'snoozed', delayMs: 5000 });
    const [line] = pool.log.of('job.no_database');
    assert.equal(line?.job_id, 7);
    assert.match(JSON.stringify(line?.error), /ECONNREFUSED/);
  });

  it('an attempt that snoozes returns its delay', async () => {
    assert.deepEqual(await pool.runTask('snoozes'), { kind: 'snoozed', delayMs: 1234 });
  });
});

describe('an attempt that is aborted', () => {
  it('an aborted attempt in an endless loop fails when its thread is terminated', async () => {
    const looping = pool.runTask('loops', { id: 201 });
    pool.abort(201, 'cancelled');
    assert.deepEqual(await looping, { kind: 'aborted', reason: 'cancelled' });
    assert.deepEqual(await pool.runTask('no_op'), nothing);
    assert.deepEqual(
      pool.log.of('thread.ended').flatMap(({ reason, job_id }) => (job_id === 201 ? [reason] : [])),
      ['cancelled'],
    );
  });

  it('an aborted attempt that listens to its signal stops by itself, and its thread is used again', async () => {
    for (const reason of ['cancelled', 'drain', 'lost'] as const) {
      const running = patient.runTask('ends_when_told', { id: 1 });
      patient.abort(1, reason);
      assert.deepEqual(await running, { kind: 'aborted', reason });
    }
    assert.deepEqual(patient.log.of('thread.ended'), []);
  });

  it('an aborted attempt that returns all the same has returned', async () => {
    const running = patient.runTask('returns_when_told', { id: 202 });
    patient.abort(202, 'cancelled');
    assert.deepEqual(await running, { kind: 'returned', result: '{"done":"all the same"}' });
  });

  it('an aborted attempt keeps the first reason', async () => {
    const looping = pool.runTask('loops', { id: 203 });
    pool.abort(203, 'cancelled');
    pool.abort(203, 'lost');
    assert.deepEqual(await looping, { kind: 'aborted', reason: 'cancelled' });
  });

  it('an attempt is aborted at its timeout, whatever it does', async (t) => {
    const pool = await mustStartPool(t, { size: 3 });
    const outcomes = await Promise.all(
      ['loops', 'waits', 'ends_when_told'].map((name) => pool.runTask(name, { timeoutMs: 30 })),
    );
    for (const outcome of outcomes) {
      assert.deepEqual(failureOf(outcome), [
        'timeout',
        'The attempt took longer than its timeout of 30 ms.',
        false,
      ]);
    }
  });

  it('an attempt that is aborted while it waits for a thread never starts', async () => {
    const looping = pool.runTask('waits', { id: 204 });
    const waiting = pool.runTask('no_op', { id: 205 });
    pool.abort(205, 'drain');
    assert.deepEqual(await waiting, { kind: 'aborted', reason: 'drain' });
    pool.abort(204, 'cancelled');
    await looping;
  });

  it('aborting an unknown job does nothing', async () => {
    pool.abort(99, 'cancelled');
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });
});

describe('a task that harms its thread', () => {
  it('a task that blocks, leaks, exits or throws does not affect attempts in other threads', async (t) => {
    const pool = await mustStartPool(t, { size: 2 });
    const blocked = pool.runTask('loops', { id: 1 });
    for (let round = 0; round < 50; round += 1) assert.deepEqual(await pool.runTask('no_op'), nothing);
    pool.abort(1, 'cancelled');
    const harmful = ['leaks', 'exits', 'throws_in_a_timer'].map((name) => pool.runTask(name));
    const harmless = Array.from({ length: 50 }, () => pool.runTask('no_op'));
    for (const outcome of await Promise.all(harmless)) assert.deepEqual(outcome, nothing);
    for (const outcome of await Promise.all(harmful)) failureOf(outcome);
    await blocked;
  });

  it('a task that throws after it has returned does not affect the next attempt; the thread is replaced after that one', async (t) => {
    const pool = await mustStartPool(t);
    assert.deepEqual(await pool.runTask('leaves_a_timer_that_throws', { id: 1 }), nothing);
    const innocent = pool.runTask('ends_when_told', { id: 2, timeoutMs: 10_000 });
    await eventually('the error is logged', () => pool.log.of('thread.error').length === 1);
    assert.equal(pool.log.of('thread.error')[0]?.job_id, 1);
    pool.abort(2, 'cancelled');
    assert.deepEqual(await innocent, { kind: 'aborted', reason: 'cancelled' });
    await eventually('the thread has ended', () => pool.log.of('thread.ended').length === 1);
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('replaced threads are counted by reason', async (t) => {
    const metrics = createMetrics();
    const pool = await mustStartPool(t, { metrics });
    await pool.runTask('exits');
    await pool.runTask('loops', { timeoutMs: 10 });
    await pool.runTask('no_op');
    const family = metrics.snapshot().find(({ name }) => name === 'job_threads_replaced_total');
    assert.deepEqual(
      family?.series.filter(({ numbers }) => numbers[0] !== 0),
      [
        { values: ['timeout'], numbers: [1] },
        { values: ['exited'], numbers: [1] },
      ],
    );
  });
});

describe('a pool', () => {
  it('a pool notifies its listeners of a new free thread, at the start and after a replacement', async (t) => {
    let notified = 0;
    const pool = await mustStartPool(t, { size: 2 });
    pool.onFree(() => {
      assert.ok(pool.free() > 0);
      notified += 1;
    });
    await pool.runTask('no_op');
    assert.equal(notified, 0);
    await pool.runTask('exits');
    await eventually('the new thread is announced', () => notified === 1);
  });

  it('closing a pool aborts running and waiting attempts and terminates its threads', async (t) => {
    const pool = await mustStartPool(t, { size: 2 });
    const running = ['loops', 'ends_when_told', 'no_op'].map((name) => pool.runTask(name));
    await pool.close();
    for (const outcome of await Promise.all(running)) {
      assert.deepEqual(outcome, { kind: 'aborted', reason: 'drain' });
    }
    assert.equal(pool.free(), 0);
    assert.deepEqual(await pool.runTask('no_op'), { kind: 'aborted', reason: 'drain' });
  });

  it('a pool closes at once while its threads start, and can be closed twice', async () => {
    const log = captureLog();
    const entry = testThreadEntry;
    const pool = createThreadPool({
      ...{ entry, workerData: { databaseUrl: null }, size: 2, memoryMb: 64, log: log.log },
    });
    await Promise.all([pool.close(), pool.close()]);
    assert.deepEqual(log.lines(), []);
  });

  it('a pool whose threads cannot start logs the reason, backs off, and fails waiting attempts', async (t) => {
    const log = captureLog();
    const entry = new URL('./no-such-file.mjs', import.meta.url);
    const pool = createThreadPool({ entry, workerData: {}, size: 1, memoryMb: 64, log: log.log });
    t.after(() => pool.close());
    assert.equal(pool.free(), 0);
    const attempt = { ...{ id: 1, name: 'no_op', payload: {}, attempt: 1, maxAttempts: 10 } };
    const rest = { timeoutMs: 1000, userId: null, requestId: null, trace: startTrace(), runner: 1 };
    const [code, message, final] = failureOf(await pool.run({ ...attempt, ...rest }, () => {}));
    assert.deepEqual([code, final], ['thread_ended', false]);
    assert.match(message, /^No thread could be started: Cannot find module .*no-such-file\.mjs/);
    await eventually('three threads have failed', () => log.of('thread.failed').length === 3);
    assert.deepEqual(
      log.of('thread.failed').map(({ delay_ms }) => delay_ms),
      [100, 200, 400],
    );
  });

  it('a pool has a free thread as soon as one can start again', async (t) => {
    const entry = await mustWriteEntry(t, 'throw new Error("Not yet.");');
    const log = captureLog();
    const pool = createThreadPool({ entry, workerData: {}, size: 1, memoryMb: 64, log: log.log });
    t.after(() => pool.close());
    await eventually('a thread has failed', () => log.of('thread.failed').length > 0);
    await writeFile(
      entry,
      `import { parentPort } from 'node:worker_threads';
      parentPort.on('message', ({ attempt }) => {
        if (attempt === undefined) return parentPort.close();
        parentPort.postMessage({ kind: 'ended', id: attempt.id, outcome: { kind: 'committed' } });
      });
      parentPort.postMessage({ kind: 'ready' });`,
    );
    await eventually('a thread is free', () => pool.free() === 1);
  });
});

describe('the output of a task', () => {
  const progressOf = (job: number) => pool.progress.filter(({ id }) => id === job);

  it('log lines of a task carry the job, the attempt, its span, and the id of the request that enqueued it', async () => {
    const trace = startTrace();
    await pool.runTask('logs', { id: 3, attempt: 2, requestId: 'req-1', trace });
    const [line] = pool.log.of('user.updated');
    assert.ok(line?.timestamp);
    assert.deepEqual(line, {
      timestamp: line.timestamp,
      ...{ level: 'warning', event: 'user.updated', service: 'test', request_id: 'req-1' },
      ...{ trace_id: trace.traceId, span_id: trace.spanId },
      ...{ job_id: 3, task: 'logs', attempt: 2, answer: 42 },
    });
    await pool.runTask('logs', { id: 4 });
    assert.equal(pool.log.of('user.updated')[1]?.request_id, 'job-4');
  });

  it('a tracer in a thread gets each attempt, and sends what it has before the thread stops', async (t) => {
    const own = await mustStartPool(t, { size: 1 });
    await own.runTask('attaches_a_tracer');
    const trace = startTrace();
    await own.runTask('throws', { trace });
    await own.close();
    assert.deepEqual(own.log.of('user.updated')[0]?.seen, [
      ...[`start throws ${trace.spanId}`, 'error threw', 'end failed'],
    ]);
  });

  it('log lines and progress from before the thread was terminated are not lost', async () => {
    await pool.runTask('speaks_and_loops', { id: 101, timeoutMs: 20 });
    assert.equal(pool.log.of('user.created')[0]?.step, 'before the loop');
    assert.deepEqual(progressOf(101), [{ id: 101, fraction: 0.5, message: 'about to block' }]);
  });

  it('progress is throttled to about ten per second, and the last one always arrives', async () => {
    await pool.runTask('progresses', { id: 102 });
    const reported = progressOf(102);
    assert.deepEqual(reported.at(0), { id: 102, fraction: 0.001, message: 'step 1' });
    assert.deepEqual(reported.at(-1), { id: 102, fraction: 1, message: 'step 1000' });
    assert.ok(reported.length >= 2 && reported.length < 100, `${reported.length} messages`);
  });

  it('progress is clamped to 0..1', async () => {
    await pool.runTask('progresses_beyond', { id: 103 });
    assert.deepEqual(progressOf(103), [{ id: 103, fraction: 1, message: null }]);
  });
});
