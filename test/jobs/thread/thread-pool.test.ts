import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { Outcome } from '../../../src/jobs/thread/thread-messages.ts';
import { createThreadPool } from '../../../src/jobs/thread/thread-pool.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartPool } from '../../helpers/thread-pool.ts';

/** For the tests that need no pool of their own: a thread takes long to start from the sources. */
const pool = await mustStartPool({ after });

/** One that lets its attempts end by themselves, however slow the machine is. */
const patient = await mustStartPool({ after }, { abortGraceMs: 20_000 });

const nothing: Outcome = { kind: 'returned', result: null };

/** The code and the message of a failed attempt, and whether it is final. */
function failureOf(outcome: Outcome): readonly [code: string, message: string, final: boolean] {
  assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
  if (outcome.kind !== 'failed') throw new Error('It has not failed.');
  return [outcome.error.code, outcome.error.message, outcome.final];
}

/** A file with the code of a thread, for one test. */
async function mustWriteEntry(t: TestContext, code: string): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-thread-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'entry.mjs'), code);
  return pathToFileURL(join(folder, 'entry.mjs'));
}

describe('an attempt in a thread', () => {
  it('returns its result as JSON text, having got the payload and its place among the attempts', async () => {
    const outcome = await pool.runTask('echo', { id: 5, attempt: 2, userId: 9, payload: { at: 'x' } });
    assert.deepEqual(outcome, {
      kind: 'returned',
      result: '{"given":{"at":"x"},"job":{"id":5,"attempt":2,"maxAttempts":10,"userId":9}}',
    });
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('waits for a thread when none is free, in order', async () => {
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
    ['that throws fails with its message', 'throws', 'threw', /^It went wrong: The root of it$/, false],
    ['that rejects fails with its message', 'rejects', 'threw', /^There is one already: choose/, false],
    ['that throws what is no Error fails', 'throws_text', 'threw', /^Thrown value: a text$/, false],
    ['that refuses fails for good', 'refuses', 'refused', /^Two lines are wrong\.$/, true],
    ['that snoozes for no time fails', 'snoozes_for_no_time', 'threw', /got NaN ms/, false],
    ['of a task that is not there fails', 'nobody_knows', 'unknown_task', /no task nobody_knows/, false],
    [
      'that returns too much fails for good',
      'returns_too_much',
      'invalid_result',
      /more than 1048576 bytes/,
      true,
    ],
    [
      'that returns no JSON fails for good',
      'returns_a_circle',
      'invalid_result',
      /or has a circular reference/,
      true,
    ],
    [
      'that throws in a timer ends with its thread',
      'throws_in_a_timer',
      'thread_ended',
      /Thrown by a timer/,
      false,
    ],
    [
      'with an unheard rejection ends with its thread',
      'rejects_unheard',
      'thread_ended',
      /Nobody listens/,
      false,
    ],
    ['that exits ends with its thread', 'exits', 'thread_ended', /exited with code 7/, false],
    ['that leaks ends at the limit of its memory', 'leaks', 'out_of_memory', /more than its 64 MB/, false],
  ];
  for (const [what, task, code, message, final] of failures) {
    it(`${what} (${code}), and the next one runs`, async () => {
      const [gotCode, gotMessage, gotFinal] = failureOf(await pool.runTask(task));
      assert.equal(gotCode, code);
      assert.match(gotMessage, message);
      assert.equal(gotFinal, final);
      assert.deepEqual(await pool.runTask('no_op'), nothing);
    });
  }

  // Node 26 loses such a message without a word: then the timeout ends the thread.
  it('that says what cannot be read ends with its thread, and the next one runs', async () => {
    const [code, , isFinal] = failureOf(await pool.runTask('sends_a_depth', { timeoutMs: 2000 }));
    assert.match(code, /^(?:thread_ended|timeout)$/);
    assert.equal(isFinal, false);
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('whose payload does not fit the schema fails for good, and says where', async () => {
    const [code, message, final] = failureOf(await pool.runTask('echo', { payload: { at: 7 } }));
    assert.deepEqual([code, final], ['invalid_payload', true]);
    assert.match(message, /expected string, received number\s+→ at at/);
  });

  it('keeps the stacks of what was thrown and of its causes', async () => {
    const outcome = await pool.runTask('throws');
    const stack = outcome.kind === 'failed' ? outcome.error.stack : undefined;
    assert.match(
      stack ?? '',
      /Error: It went wrong\.\n\s+at .*task-thread\.ts[\s\S]*Caused by: Error: The root/,
    );
  });

  it('that refuses hands its details to whoever sees the job', async () => {
    const outcome = await pool.runTask('refuses');
    assert.deepEqual(outcome.kind === 'failed' && outcome.error.details, {
      rows: [{ line: 2 }, { line: 7 }],
    });
  });

  it('that refuses with details nested by the thousand has refused, without them', async () => {
    const outcome = await pool.runTask('refuses_deeply', { timeoutMs: 5000 });
    assert.deepEqual(failureOf(outcome), [
      'refused',
      'It is deep. (Its details are left out: they nest more than 64 arrays and objects.)',
      true,
    ]);
    assert.equal(outcome.kind === 'failed' && outcome.error.details, undefined);
  });

  it('may return 64 arrays within one another, and fails for good with more', async () => {
    assert.equal((await pool.runTask('returns_a_depth', { payload: { at: '64' } })).kind, 'returned');
    for (const at of ['65', '4000']) {
      const outcome = await pool.runTask('returns_a_depth', { payload: { at }, timeoutMs: 5000 });
      const [code, message, final] = failureOf(outcome);
      assert.deepEqual([code, final], ['invalid_result', true]);
      assert.match(message, /more than 64 arrays and objects/);
    }
  });

  it('whose payload is nested too deeply to be handed over fails, and the next one runs', async () => {
    for (const depth of [4000, 100_000]) {
      const payload: unknown = JSON.parse('['.repeat(depth) + ']'.repeat(depth));
      const outcome = await pool.runTask('echo', { payload, timeoutMs: 5000 });
      assert.equal(outcome.kind, 'failed');
      assert.notEqual(outcome.kind === 'failed' && outcome.error.code, 'timeout');
      assert.deepEqual(await pool.runTask('no_op'), nothing);
    }
  });

  it('that gets no connection to the database is run again later, does not count, and the log says so', async (t) => {
    const pool = await mustStartPool(t, { databaseUrl: 'postgres://ada@127.0.0.1:1/x' });
    assert.deepEqual(await pool.runTask('asks_the_database', { id: 7 }), { kind: 'snoozed', delayMs: 5000 });
    const [line] = pool.log.of('job.no_database');
    assert.equal(line?.job_id, 7);
    assert.match(JSON.stringify(line?.error), /ECONNREFUSED/);
  });

  it('that snoozes says for how long', async () => {
    assert.deepEqual(await pool.runTask('snoozes'), { kind: 'snoozed', delayMs: 1234 });
  });
});

describe('an attempt that is told to end', () => {
  it('ends with its thread if it is a loop that never gives way', async () => {
    const looping = pool.runTask('loops', { id: 201 });
    pool.abort(201, 'cancelled');
    assert.deepEqual(await looping, { kind: 'aborted', reason: 'cancelled' });
    assert.deepEqual(await pool.runTask('no_op'), nothing);
    assert.deepEqual(
      pool.log.of('thread.ended').flatMap(({ reason, job_id }) => (job_id === 201 ? [reason] : [])),
      ['cancelled'],
    );
  });

  it('ends by itself if it heeds its signal, and the thread is used again', async () => {
    for (const reason of ['cancelled', 'drain', 'lost'] as const) {
      const running = patient.runTask('ends_when_told', { id: 1 });
      patient.abort(1, reason);
      assert.deepEqual(await running, { kind: 'aborted', reason });
    }
    assert.deepEqual(patient.log.of('thread.ended'), []);
  });

  it('has returned if it returns all the same', async () => {
    const running = patient.runTask('returns_when_told', { id: 202 });
    patient.abort(202, 'cancelled');
    assert.deepEqual(await running, { kind: 'returned', result: '{"done":"all the same"}' });
  });

  it('keeps the first reason', async () => {
    const looping = pool.runTask('loops', { id: 203 });
    pool.abort(203, 'cancelled');
    pool.abort(203, 'lost');
    assert.deepEqual(await looping, { kind: 'aborted', reason: 'cancelled' });
  });

  it('does so by itself when its timeout has passed, whatever it does', async (t) => {
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

  it('never begins if it still waited for a thread', async () => {
    const looping = pool.runTask('waits', { id: 204 });
    const waiting = pool.runTask('no_op', { id: 205 });
    pool.abort(205, 'drain');
    assert.deepEqual(await waiting, { kind: 'aborted', reason: 'drain' });
    pool.abort(204, 'cancelled');
    await looping;
  });

  it('harms no other: telling a job that is not there does nothing', async () => {
    pool.abort(99, 'cancelled');
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });
});

describe('a task that harms its thread', () => {
  it('harms no attempt in another: they run on while it blocks, leaks, exits and throws', async (t) => {
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

  it('after it has returned harms no later attempt, and the thread is replaced when that has ended', async (t) => {
    const pool = await mustStartPool(t);
    assert.deepEqual(await pool.runTask('leaves_a_timer_that_throws', { id: 1 }), nothing);
    const innocent = pool.runTask('ends_when_told', { id: 2, timeoutMs: 10_000 });
    await eventually('the error is logged', () => pool.log.of('thread.fault').length === 1);
    assert.equal(pool.log.of('thread.fault')[0]?.job_id, 1);
    pool.abort(2, 'cancelled');
    assert.deepEqual(await innocent, { kind: 'aborted', reason: 'cancelled' });
    await eventually('the thread has ended', () => pool.log.of('thread.ended').length === 1);
    assert.deepEqual(await pool.runTask('no_op'), nothing);
  });

  it('is counted by the reason for which its thread was replaced', async (t) => {
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
  it('tells who listens that a new thread is free, at the start and after a replacement', async (t) => {
    let told = 0;
    const pool = await mustStartPool(t, { size: 2 });
    pool.onFree(() => {
      assert.ok(pool.free() > 0);
      told += 1;
    });
    await pool.runTask('no_op');
    assert.equal(told, 0);
    await pool.runTask('exits');
    await eventually('the new thread is announced', () => told === 1);
  });

  it('ends what runs and what waits when it is closed, and its threads', async (t) => {
    const pool = await mustStartPool(t, { size: 2 });
    const running = ['loops', 'ends_when_told', 'no_op'].map((name) => pool.runTask(name));
    await pool.close();
    for (const outcome of await Promise.all(running)) {
      assert.deepEqual(outcome, { kind: 'aborted', reason: 'drain' });
    }
    assert.equal(pool.free(), 0);
    assert.deepEqual(await pool.runTask('no_op'), { kind: 'aborted', reason: 'drain' });
  });

  it('closes at once while its threads start, and twice', async () => {
    const log = captureLog();
    const entry = new URL('../../helpers/task-thread.ts', import.meta.url);
    const pool = createThreadPool({
      ...{ entry, workerData: { databaseUrl: null }, size: 2, memoryMb: 64, log: log.log },
    });
    await Promise.all([pool.close(), pool.close()]);
    assert.deepEqual(log.lines(), []);
  });

  it('whose threads cannot start says why, tries later and later, and fails what waits', async (t) => {
    const log = captureLog();
    const entry = new URL('./no-such-file.mjs', import.meta.url);
    const pool = createThreadPool({ entry, workerData: {}, size: 1, memoryMb: 64, log: log.log });
    t.after(() => pool.close());
    assert.equal(pool.free(), 0);
    const attempt = { ...{ id: 1, name: 'no_op', payload: {}, attempt: 1, maxAttempts: 10 } };
    const rest = { timeoutMs: 1000, userId: null, requestId: null, runner: 1 };
    const [code, message, final] = failureOf(await pool.run({ ...attempt, ...rest }, () => {}));
    assert.deepEqual([code, final], ['thread_ended', false]);
    assert.match(message, /^No thread could be started: Cannot find module .*no-such-file\.mjs/);
    await eventually('three have died', () => log.of('thread.failed').length === 3);
    assert.deepEqual(
      log.of('thread.failed').map(({ delay_ms }) => delay_ms),
      [100, 200, 400],
    );
  });

  it('has a free thread as soon as one can start after all', async (t) => {
    const entry = await mustWriteEntry(t, 'throw new Error("Not yet.");');
    const log = captureLog();
    const pool = createThreadPool({ entry, workerData: {}, size: 1, memoryMb: 64, log: log.log });
    t.after(() => pool.close());
    await eventually('it has failed', () => log.of('thread.failed').length > 0);
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

describe('what a task says', () => {
  const progressOf = (job: number) => pool.progress.filter(({ id }) => id === job);

  it('in its log carries the job, the attempt and the id of the request that enqueued it', async () => {
    await pool.runTask('logs', { id: 3, attempt: 2, requestId: 'req-1' });
    const [line] = pool.log.of('user.updated');
    assert.ok(line?.timestamp);
    assert.deepEqual(line, {
      timestamp: line.timestamp,
      ...{ level: 'warning', event: 'user.updated', service: 'test', request_id: 'req-1' },
      ...{ job_id: 3, task: 'logs', attempt: 2, answer: 42 },
    });
    await pool.runTask('logs', { id: 4 });
    assert.equal(pool.log.of('user.updated')[1]?.request_id, 'job-4');
  });

  it('before its thread was ended is not lost, neither lines nor progress', async () => {
    await pool.runTask('speaks_and_loops', { id: 101, timeoutMs: 20 });
    assert.equal(pool.log.of('user.created')[0]?.step, 'before the loop');
    assert.deepEqual(progressOf(101), [{ id: 101, fraction: 0.5, message: 'about to block' }]);
  });

  it('of its progress is thinned to some ten a second, and the last one always arrives', async () => {
    await pool.runTask('progresses', { id: 102 });
    const said = progressOf(102);
    assert.deepEqual(said.at(0), { id: 102, fraction: 0.001, message: 'step 1' });
    assert.deepEqual(said.at(-1), { id: 102, fraction: 1, message: 'step 1000' });
    assert.ok(said.length >= 2 && said.length < 100, `${said.length} messages`);
  });

  it('of its progress stays between 0 and 1', async () => {
    await pool.runTask('progresses_beyond', { id: 103 });
    assert.deepEqual(progressOf(103), [{ id: 103, fraction: 1, message: null }]);
  });
});
