import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { processStarter } from '../../../src/jobs/thread/executor.ts';
import { createIsolate, type IsolateOptions } from '../../../src/jobs/thread/isolate.ts';
import type { Attempt } from '../../../src/jobs/thread/thread-messages.ts';
import { bundledEntry } from '../../helpers/bundled-entry.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import type { After } from '../../helpers/test-database.ts';
import type { TestThreadData } from '../../helpers/thread-entry.ts';
import { attemptDefaults } from '../../helpers/thread-pool.ts';

const workerData: TestThreadData = { databaseUrl: null };

function mustCreateIsolate(t: After, options: Partial<IsolateOptions> = {}) {
  const children: ChildProcess[] = [];
  const captured = captureLog();
  const isolate = createIsolate({
    size: 2,
    log: captured.log,
    start: processStarter(() => {
      const child = fork(bundledEntry('isolate-entry'), {
        serialization: 'advanced',
      });
      children.push(child);
      child.send(workerData);
      return child;
    }),
    ...options,
  });
  t.after(() => isolate.close());
  let lastId = 0;
  const runTask = (name: string, attempt: Partial<Attempt> = {}) => {
    lastId += 1;
    const whole = { ...attemptDefaults, id: lastId, name, ...attempt };
    return isolate.run(whole, () => {});
  };
  return { isolate, children, runTask, of: captured.of };
}

const isRunning = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null;

describe('a suspect that runs isolated in a process', () => {
  it('a suspect can return, fail and refuse as in a thread, and its process is used again', async (t) => {
    const { runTask, children, of } = mustCreateIsolate(t);
    assert.deepEqual(await runTask('no_op'), { kind: 'returned', result: null });
    const thrown = await runTask('throws');
    assert.ok(thrown.kind === 'failed');
    assert.equal(thrown.error.code, 'threw');
    assert.match(thrown.error.message, /^It went wrong/);
    const refused = await runTask('refuses');
    assert.deepEqual(refused.kind === 'failed' && refused.error.details, {
      rows: [{ line: 2 }, { line: 7 }],
    });
    assert.deepEqual(await runTask('snoozes'), { kind: 'snoozed', delayMs: 1234 });
    await runTask('logs');
    assert.equal(of('user.updated')[0]?.answer, 42);
    const exited = await runTask('exits');
    assert.equal(exited.kind === 'failed' && exited.error.code, 'thread_ended');
    assert.equal(children.length, 1);
  });

  for (const signal of ['SIGSEGV', 'SIGABRT', 'SIGKILL']) {
    it(`a suspect whose process is killed by ${signal} has failed, and another isolated attempt continues`, async (t) => {
      const { runTask, isolate } = mustCreateIsolate(t);
      const beside = runTask('ends_when_told', { id: 50 });
      const outcome = await runTask('kills_its_process', { payload: { at: signal } });
      assert.ok(outcome.kind === 'failed');
      assert.deepEqual([outcome.error.code, outcome.final], ['crashed', false]);
      assert.match(outcome.error.message, new RegExp(`was terminated by ${signal}`));
      assert.deepEqual(await runTask('no_op'), { kind: 'returned', result: null });
      isolate.abort(50, 'cancelled');
      assert.deepEqual(await beside, { kind: 'aborted', reason: 'cancelled' });
    });
  }

  it('a suspect fails at its timeout, and when it is aborted before its process is ready', async (t) => {
    const { runTask, isolate } = mustCreateIsolate(t);
    const early = runTask('waits', { id: 70 });
    isolate.abort(70, 'cancelled');
    assert.deepEqual(await early, { kind: 'aborted', reason: 'cancelled' });
    const late = await runTask('loops', { timeoutMs: 30 });
    assert.equal(late.kind === 'failed' && late.error.code, 'timeout');
  });
});

describe('an isolate', () => {
  it('an isolate has no process before the first suspect, and none after the idle time', async (t) => {
    const { runTask, isolate, children } = mustCreateIsolate(t, { idleMs: 50 });
    assert.equal(children.length, 0);
    await runTask('no_op');
    await eventually('it has ended', () => children.every((child) => !isRunning(child)));
    assert.deepEqual(await runTask('no_op'), { kind: 'returned', result: null });
    assert.equal(isolate.free(), 2);
  });

  it('an isolate whose processes do not start releases its attempts, and accepts others after a delay', async (t) => {
    const { runTask, isolate, of } = mustCreateIsolate(t, {
      start: processStarter(() =>
        spawn('/no/such/program', { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] }),
      ),
    });
    let notified = 0;
    isolate.onFree(() => {
      notified += 1;
    });
    assert.deepEqual(await runTask('no_op'), { kind: 'aborted', reason: 'drain' });
    assert.equal(isolate.free(), 0);
    await eventually('the delay is over', () => isolate.free() === 2);
    await eventually('the listener is called', () => notified >= 2);
    assert.equal(of('thread.failed').length, 1);
  });

  it('closing an isolate stops its processes', async (t) => {
    const { runTask, isolate, children } = mustCreateIsolate(t);
    const running = runTask('ends_when_told');
    await runTask('no_op');
    await isolate.close();
    assert.deepEqual(await running, { kind: 'aborted', reason: 'drain' });
    await eventually('all have ended', () => children.every((child) => !isRunning(child)));
    assert.equal(isolate.free(), 0);
  });
});
