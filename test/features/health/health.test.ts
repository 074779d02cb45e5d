import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { connectDatabase } from '../../../src/db/database.ts';
import { AppError } from '../../../src/errors.ts';
import { createHealth, type HealthCheck } from '../../../src/features/health/health.ts';
import { healthRoutes } from '../../../src/features/health/routes.ts';
import { createApiClient } from '../../helpers/api-client.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustStartServer } from '../../helpers/http-server.ts';

const passes: HealthCheck = { name: 'passes', required: true, run: async () => {} };

function failing(name: string, required: boolean, error: Error): HealthCheck {
  return { name, required, run: () => Promise.reject(error) };
}

/** A server with these checks: `probe('ready')` asks it. */
async function mustServeHealth(t: TestContext, checks: readonly HealthCheck[], timeoutMs = 2000) {
  const captured = captureLog();
  const health = createHealth({
    environment: 'test',
    version: '1.2.3',
    checks,
    log: captured.log,
    timeoutMs,
  });
  const { url } = await mustStartServer(t, { routes: healthRoutes({ health }), captured });
  const client = createApiClient(url);
  const probe = async (name: string) => {
    const { status, body } = await client.get(`/health/${name}`);
    return { status, body };
  };
  return { probe, captured };
}

describe('liveness', () => {
  it('liveness returns the environment and the version, and runs no check', async (t) => {
    const { probe } = await mustServeHealth(t, [failing('database', true, new Error('gone'))]);
    assert.deepEqual(await probe('live'), {
      status: 200,
      body: { status: 'pass', environment: 'test', version: '1.2.3' },
    });
  });
});

describe('readiness', () => {
  it('readiness is 200 with the duration of each check when all checks pass', async (t) => {
    const { probe } = await mustServeHealth(t, [passes]);
    const { status, body } = await probe('ready');
    assert.equal(status, 200);
    assert.equal(body.status, 'pass');
    assert.equal(body.checks.passes.status, 'ok');
    assert.equal(body.checks.passes.required, true);
    assert.equal(typeof body.checks.passes.duration_ms, 'number');
  });

  it('readiness is 200 when a part is degraded, with the reason', async (t) => {
    const degraded: HealthCheck = {
      name: 'redis',
      required: false,
      run: async () => ({ degraded: 'Redis does not answer.' }),
    };
    const { status, body } = await (await mustServeHealth(t, [passes, degraded])).probe('ready');
    assert.deepEqual([status, body.status], [200, 'pass']);
    assert.deepEqual(
      [body.checks.redis.status, body.checks.redis.detail],
      ['degraded', 'Redis does not answer.'],
    );
  });

  it('readiness is 503 with the message of an expected failure when a required check fails', async (t) => {
    const error = new AppError('database_unavailable', 'The database cannot be reached.');
    const { probe } = await mustServeHealth(t, [passes, failing('database', true, error)]);
    const { status, body } = await probe('ready');
    assert.equal(status, 503);
    assert.equal(body.status, 'fail');
    assert.equal(body.checks.passes.status, 'ok');
    assert.equal(body.checks.database.status, 'failed');
    assert.equal(body.checks.database.detail, 'The database cannot be reached.');
  });

  it('an unexpected failure of a check is logged and not shown in the response', async (t) => {
    const error = new Error('password of strata is wrong');
    const { probe, captured } = await mustServeHealth(t, [failing('database', true, error)]);
    const { body } = await probe('ready');
    assert.equal(body.checks.database.detail, 'The check failed; the log has the reason.');
    const [line] = captured.of('readiness.failed');
    assert.equal(line?.check, 'database');
    assert.ok(captured.text().includes('password of strata is wrong'));
  });

  it('readiness is 200 when only an optional check fails', async (t) => {
    const { probe } = await mustServeHealth(t, [passes, failing('cache', false, new Error('gone'))]);
    const { status, body } = await probe('ready');
    assert.equal(status, 200);
    assert.equal(body.checks.cache.status, 'failed');
  });

  it('a check that the settings do not enable is shown as disabled', async (t) => {
    const { probe } = await mustServeHealth(t, [passes, { name: 'cache', required: false, run: undefined }]);
    const { status, body } = await probe('ready');
    assert.equal(status, 200);
    assert.deepEqual(body.checks.cache, { status: 'disabled', required: false, duration_ms: 0 });
  });

  it('a check that exceeds its deadline or throws synchronously fails', async (t) => {
    const hangs: HealthCheck = { name: 'hangs', required: true, run: () => new Promise(() => {}) };
    const throws: HealthCheck = {
      name: 'throws',
      required: true,
      run: () => {
        throw new Error('at once');
      },
    };
    const { probe } = await mustServeHealth(t, [hangs, throws], 20);
    const { status, body } = await probe('ready');
    assert.equal(status, 503);
    assert.equal(body.checks.hangs.detail, 'No answer within 20 ms.');
    assert.equal(body.checks.throws.status, 'failed');
  });

  it('concurrent probes share one run of the checks, and the next probe starts another', async () => {
    let runs = 0;
    let letGo = () => {};
    const gate = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const counted: HealthCheck = {
      name: 'counted',
      required: true,
      async run() {
        runs += 1;
        await gate;
        return undefined;
      },
    };
    const health = createHealth({
      environment: 'test',
      version: '1',
      checks: [counted],
      log: captureLog().log,
    });
    const together = [health.ready(), health.ready(), health.ready()];
    letGo();
    await Promise.all(together);
    assert.equal(runs, 1);
    await health.ready();
    assert.equal(runs, 2);
  });

  it('readiness reports an unreachable database when nothing listens at its address', async (t) => {
    const { log } = captureLog();
    const database = connectDatabase({
      ...{ url: 'postgres://nobody@127.0.0.1:1/none', poolSize: 1, statementTimeoutMs: 1000, log },
      ...{ connectTimeoutSeconds: 1, slowQueryMs: 1000, echo: false, applicationName: 'test' },
    });
    t.after(() => database.close(0));
    const check: HealthCheck = {
      name: 'database',
      required: true,
      run: async () => {
        await database.ping(500);
        return undefined;
      },
    };
    const { probe } = await mustServeHealth(t, [check]);
    const { status, body } = await probe('ready');
    assert.equal(status, 503);
    assert.match(body.checks.database.detail, /database/);
  });
});

describe('startup', () => {
  it('startup fails until the server has been ready once, and passes from then on', async (t) => {
    let error: Error | undefined = new AppError('not_ready', 'Migrations are pending.');
    const check: HealthCheck = {
      name: 'migrations',
      required: true,
      run: async () => {
        if (error !== undefined) throw error;
      },
    };
    const { probe } = await mustServeHealth(t, [check]);
    assert.deepEqual(await probe('startup'), { status: 503, body: { status: 'fail' } });
    error = undefined;
    assert.deepEqual(await probe('startup'), { status: 200, body: { status: 'pass' } });
    error = new AppError('database_unavailable', 'Gone.');
    assert.equal((await probe('ready')).status, 503);
    assert.deepEqual(await probe('startup'), { status: 200, body: { status: 'pass' } });
  });
});

describe('probes', () => {
  it('probes need no credentials and are exempt from the rate limit', () => {
    const health = createHealth({ environment: 'test', version: '1', checks: [], log: captureLog().log });
    for (const { path, auth, limit } of healthRoutes({ health })) {
      assert.deepEqual({ path, auth, limit }, { path, auth: 'none', limit: 'exempt' });
    }
  });
});
