import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createCompleter } from '../../src/jobs/runner/completer.ts';
import { startTrace } from '../../src/observability/trace-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { oddValues } from '../helpers/odd-values.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';
import { mustStartPool } from '../helpers/thread-pool.ts';

const { sql } = await mustOpenTestDatabase({ after });
const pool = await mustStartPool({ after }, { memoryMb: 256, abortGraceMs: 100 });
const completer = createCompleter({
  sql,
  runner: 1,
  isClosed: () => false,
  backoffOf: () => ({ baseMs: 1, maxMs: 1 }),
  random: () => 0,
  log: captureLog().log,
});

/** Runs a job of the task in a real thread and records its outcome. Returns the row of the job. */
async function mustRunJob(task: string, at?: string) {
  const id = await mustStoreJob(sql, { state: 'running', name: task });
  const payload = at === undefined ? {} : { at };
  const outcome = await pool.runTask(task, { id, payload, timeoutMs: 5_000 });
  const job = { id, name: task, payload, attempt: 1, maxAttempts: 10, timeoutMs: 5_000, runner: 1 };
  await completer.record(
    {
      ...{ ...job, userId: null, requestId: null, trace: startTrace() },
      ...{ queue: 'default', priority: 100, waitMs: 0, losses: 0 },
    },
    outcome,
  );
  const [row] = await sql<{ state: string; errors: { code: string; message: string }[]; bytes: number }[]>`
    select state, errors, pg_column_size(errors) as bytes from jobs where id = ${id}`;
  assert.ok(row !== undefined);
  assert.ok(row.bytes < 250_000);
  return { state: row.state, code: row.errors[0]?.code, message: row.errors[0]?.message ?? '' };
}

describe('an attempt leaves `running` with a reason in its history', () => {
  const tasks: [what: string, task: string, states: readonly string[]][] = [
    ['throws', 'throws_odd', ['scheduled']],
    ['rejects with', 'rejects_odd', ['scheduled']],
    ['refuses with the details', 'refuses_odd', ['failed']],
    ['returns', 'returns_odd', ['completed', 'failed', 'scheduled']],
    ['snoozes for', 'snoozes_odd', ['scheduled']],
  ];
  for (const [what, task, states] of tasks) {
    for (const name of Object.keys(oddValues)) {
      it(`if its task ${what} ${name}`, async () => {
        const { state, message } = await mustRunJob(task, name);
        assert.ok(states.includes(state), `${state}: ${message}`);
        if (state !== 'completed') assert.ok(message.length > 0 && message.length <= 2_300);
      });
    }
  }
});

// Each of these terminates its thread, and starting a thread from sources is slow.
for (const name of ['a message that is an object', 'a revoked proxy', 'an error of 20 MB']) {
  it(`an attempt whose timer throws ${name} leaves \`running\` with a reason in its history`, async () => {
    const { state, message } = await mustRunJob('throws_odd_in_a_timer', name);
    assert.equal(state, 'scheduled');
    assert.ok(message.length > 0 && message.length <= 2_000);
  });
}

for (const task of ['logs_odd', 'reports_odd']) {
  it(`a task that ${task.replace('_odd', '')} odd values completes`, async () => {
    // Cutting a string of 20 MB to a log line is tested with the logger.
    for (const name of Object.keys(oddValues).filter((each) => !each.includes('20 MB'))) {
      const { state, message } = await mustRunJob(task, name);
      assert.equal(state, 'completed', `${name}: ${message}`);
    }
    for (const { message } of pool.progress) assert.ok((message ?? '').length <= 500);
  });
}

it('a result of 100 MB fails its job without ending its thread or the process', async () => {
  const ended = pool.log.of('thread.ended').length;
  const { state, code, message } = await mustRunJob('returns_100_mb');
  assert.deepEqual([state, code], ['failed', 'invalid_result']);
  assert.match(message, /more than 1048576 bytes as JSON/);
  assert.equal(pool.log.of('thread.ended').length, ended);
});

it('a message that a task posts to the runner fails the attempt and affects nothing else', async () => {
  const forged =
    '{"kind":"ended","id":0,"outcome":{"kind":"failed","error":{"code":"threw","message":{}},"final":false}}';
  for (const message of ['null', forged]) {
    const { state, code } = await mustRunJob('posts', message);
    assert.deepEqual([state, code], ['scheduled', 'thread_ended']);
  }
});
