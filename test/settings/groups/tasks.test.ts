import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env: { SECURITY_JWT_SECRET: testSecret, ...env }, envFile: null });
const tasksOf = (env: Env) => load(env).settings.tasks;

/** Returns the only error of an environment. */
function errorOf(env: Env): string {
  try {
    load(env);
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof StartError);
    assert.doesNotMatch(error.message, /\n|secret/);
    return error.message;
  }
}

const database = 'postgres://ada:secret@db/app';
const direct = 'postgres://ada:secret@db:5433/app';

describe('jobs', () => {
  test('by default jobs run beside the server, with one thread per processor, at most four', () => {
    assert.deepEqual(tasksOf({}), {
      enabled: true,
      threads: Math.min(4, availableParallelism()),
      threadMemoryMb: 256,
      brokerUrl: '',
      resultBackend: '',
      keepCompletedDays: 7,
      keepFailedDays: 30,
    });
  });

  test('jobs are disabled by the variable and by its alias', () => {
    assert.equal(tasksOf({ APP_TASKS_ENABLED: 'false' }).enabled, false);
    assert.equal(tasksOf({ ENABLE_BACKGROUND_TASKS: 'off' }).enabled, false);
  });

  test('jobs are off without a database, without a warning', () => {
    const { settings, warnings } = load({ APP_DATABASE_URL: 'none' });
    assert.equal(settings.tasks.enabled, false);
    assert.deepEqual(warnings, []);
  });

  test('APP_TASKS_ENABLED=true without a database is a warning', () => {
    const { settings, warnings } = load({ APP_DATABASE_URL: 'none', ENABLE_BACKGROUND_TASKS: 'true' });
    assert.equal(settings.tasks.enabled, false);
    assert.match(warnings[0] ?? '', /^APP_TASKS_ENABLED=true has no effect with APP_DATABASE_URL=none/);
  });

  test('the number of threads can be set from 1 to 64', () => {
    assert.equal(tasksOf({ APP_TASKS_THREADS: '64' }).threads, 64);
    for (const wrong of ['0', '65', 'many'])
      assert.match(errorOf({ APP_TASKS_THREADS: wrong }), /but must be an integer from 1 to 64, or auto\.$/);
  });
});

describe('the database of jobs', () => {
  const all = { APP_DATABASE_URL: database, APP_TASKS_BROKER_URL: direct };

  test('a second URL of the database can be set by the variable and by its alias', () => {
    assert.equal(tasksOf(all).brokerUrl, direct);
    const old = { APP_DATABASE_URL: database, TASK_BROKER_URL: 'postgresql+psycopg2://db:5433/app' };
    assert.equal(tasksOf(old).brokerUrl, 'postgresql://db:5433/app');
  });

  test('the result backend can repeat either URL of the database', () => {
    assert.equal(tasksOf({ ...all, APP_TASKS_RESULT_BACKEND: direct }).resultBackend, direct);
    assert.equal(tasksOf({ ...all, TASK_RESULT_BACKEND: database }).resultBackend, database);
  });

  for (const name of ['TASK_BROKER_URL', 'TASK_RESULT_BACKEND']) {
    test(`${name} with a Redis URL is rejected with the reason and the action`, () => {
      assert.match(
        errorOf({ APP_DATABASE_URL: database, [name]: 'redis://:secret@localhost:6379/1' }),
        /^\w+ \(an alias of APP_\w+\) has an invalid value .*: remove it, or set it to such a URL; .*kept in PostgreSQL.*\.$/,
      );
    });
  }

  test('other databases and texts that are no URL are rejected', () => {
    assert.match(errorOf({ APP_TASKS_BROKER_URL: 'mysql://db/app' }), /only PostgreSQL is supported/);
    assert.match(errorOf({ APP_TASKS_BROKER_URL: 'embedded' }), /it is not a URL/);
  });

  test('a second URL is rejected for the embedded database, and without a database', () => {
    for (const url of ['embedded', 'none']) {
      assert.match(
        errorOf({ APP_DATABASE_URL: url, APP_TASKS_BROKER_URL: direct }),
        new RegExp(`APP_DATABASE_URL, which is ${url}: remove the first, or set the second`),
      );
    }
  });

  test('a result backend in another database is rejected', () => {
    assert.match(
      errorOf({ ...all, APP_TASKS_RESULT_BACKEND: 'postgres://elsewhere/app' }),
      /^APP_TASKS_RESULT_BACKEND differs from APP_DATABASE_URL, .*remove it\.$/,
    );
  });

  test('the URLs of the job database are printed without their passwords', () => {
    const { origins } = load({ ...all, APP_TASKS_RESULT_BACKEND: direct });
    for (const name of ['APP_TASKS_BROKER_URL', 'APP_TASKS_RESULT_BACKEND']) {
      const shown = origins.find((origin) => origin.name === name)?.value;
      assert.equal(shown, 'postgres://ada:***@db:5433/app');
    }
  });
});
