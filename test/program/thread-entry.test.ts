import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createThreadPool } from '../../src/jobs/thread/thread-pool.ts';
import { startTrace } from '../../src/observability/trace-context.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';
import { testSecret } from '../helpers/test-secret.ts';

it('the entry of the threads starts with the settings of the program and runs its tasks', async (t) => {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'test',
      SECURITY_JWT_SECRET: testSecret,
      APP_DATA_DIR: await mustMakeFolder(t),
    },
    envFile: null,
  });
  const log = captureLog();
  const pool = createThreadPool({
    entry: new URL('../../src/program/thread-entry.ts', import.meta.url),
    workerData: {
      settings,
      databaseUrl: await mustCreateDatabase(t),
    },
    ...{ size: 1, memoryMb: 256, log: log.log },
  });
  t.after(() => pool.close());
  const outcome = await pool.run(
    {
      ...{ id: 1, name: 'send_email', attempt: 1, maxAttempts: 1, timeoutMs: 10_000 },
      payload: { to: 'ada@example.com', subject: 'Hello', body: 'It works.' },
      ...{ userId: null, requestId: 'req-1', trace: startTrace(), runner: 1 },
    },
    () => {},
  );
  assert.deepEqual(outcome, { kind: 'returned', result: '{"status":"sent","to":"ada@example.com"}' });
  assert.equal(log.of('mail.delivered')[0]?.request_id, 'req-1');
});
