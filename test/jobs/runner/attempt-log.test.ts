import assert from 'node:assert/strict';
import { it } from 'node:test';
import { logOutcome } from '../../../src/jobs/runner/attempt-log.ts';
import { startTrace } from '../../../src/observability/trace-context.ts';
import { captureLog } from '../../helpers/captured-log.ts';

const job = {
  ...{ id: 1, name: 'count_words', queue: 'default', priority: 100, payload: {}, losses: 0, waitMs: 0 },
  ...{ attempt: 1, maxAttempts: 5, timeoutMs: 1_000, userId: 7, requestId: null, runner: 1 },
  trace: startTrace(),
};

it('a failed job is logged as an error, unless its task refused the input of a user', () => {
  for (const [code, level] of [
    ['threw', 'error'],
    ['timeout', 'error'],
    ['crashed', 'error'],
    ['refused', 'info'],
  ] as const) {
    const { log, of } = captureLog();
    logOutcome(log, job, { kind: 'failed', error: { code, message: 'Why.' } }, 1);
    assert.deepEqual(
      of('job.failed').map((line) => [line.level, line.code]),
      [[level, code]],
    );
  }
});
