import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env: { SECURITY_JWT_SECRET: testSecret, ...env }, envFile: null });
const tasksOf = (env: Env) => load(env).settings.tasks;

/** The only fault of an environment. */
function faultOf(env: Env): string {
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
  test('run inside the server, a thread for each processor up to four, unless something else is said', () => {
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

  test('are switched off by either name', () => {
    assert.equal(tasksOf({ APP_TASKS_ENABLED: 'false' }).enabled, false);
    assert.equal(tasksOf({ ENABLE_BACKGROUND_TASKS: 'off' }).enabled, false);
  });

  test('are off without a database, which nobody needs to be told', () => {
    const { settings, warnings } = load({ APP_DATABASE_URL: 'none' });
    assert.equal(settings.tasks.enabled, false);
    assert.deepEqual(warnings, []);
  });

  test('that were asked for without a database are worth a sentence', () => {
    const { settings, warnings } = load({ APP_DATABASE_URL: 'none', ENABLE_BACKGROUND_TASKS: 'true' });
    assert.equal(settings.tasks.enabled, false);
    assert.match(warnings[0] ?? '', /^APP_TASKS_ENABLED=true does nothing while APP_DATABASE_URL=none/);
  });

  test('have as many threads as are asked for, from 1 to 64', () => {
    assert.equal(tasksOf({ APP_TASKS_THREADS: '64' }).threads, 64);
    for (const wrong of ['0', '65', 'many'])
      assert.match(faultOf({ APP_TASKS_THREADS: wrong }), /but takes an integer from 1 to 64, or auto\.$/);
  });
});

describe('the database of jobs', () => {
  const all = { APP_DATABASE_URL: database, APP_TASKS_BROKER_URL: direct };

  test('may be reached by a way of its own, under either name', () => {
    assert.equal(tasksOf(all).brokerUrl, direct);
    const old = { APP_DATABASE_URL: database, TASK_BROKER_URL: 'postgresql+psycopg2://db:5433/app' };
    assert.equal(tasksOf(old).brokerUrl, 'postgresql://db:5433/app');
  });

  test('may be named again for the results, by either of its URLs', () => {
    assert.equal(tasksOf({ ...all, APP_TASKS_RESULT_BACKEND: direct }).resultBackend, direct);
    assert.equal(tasksOf({ ...all, TASK_RESULT_BACKEND: database }).resultBackend, database);
  });

  for (const name of ['TASK_BROKER_URL', 'TASK_RESULT_BACKEND']) {
    test(`is no Redis: ${name} is refused with a sentence that says why, and what to do`, () => {
      assert.match(
        faultOf({ APP_DATABASE_URL: database, [name]: 'redis://:secret@localhost:6379/1' }),
        /^\w+ \(another name of APP_\w+\) got a value that is not shown.*: remove it, or set it to such a URL, for .*kept in PostgreSQL.*\.$/,
      );
    });
  }

  test('is of no other kind either', () => {
    assert.match(faultOf({ APP_TASKS_BROKER_URL: 'mysql://db/app' }), /no other database than PostgreSQL/);
    assert.match(faultOf({ APP_TASKS_BROKER_URL: 'embedded' }), /it is not a URL/);
  });

  test('has no second way when the program starts it itself, or when there is none', () => {
    for (const url of ['embedded', 'none']) {
      assert.match(
        faultOf({ APP_DATABASE_URL: url, APP_TASKS_BROKER_URL: direct }),
        new RegExp(`APP_DATABASE_URL, which is ${url}: remove the one, or set the other`),
      );
    }
  });

  test('is the only place for results', () => {
    assert.match(
      faultOf({ ...all, APP_TASKS_RESULT_BACKEND: 'postgres://elsewhere/app' }),
      /^APP_TASKS_RESULT_BACKEND is not the database of APP_DATABASE_URL.*remove it\.$/,
    );
  });

  test('is printed without its password', () => {
    const { origins } = load({ ...all, APP_TASKS_RESULT_BACKEND: direct });
    for (const name of ['APP_TASKS_BROKER_URL', 'APP_TASKS_RESULT_BACKEND']) {
      const shown = origins.find((origin) => origin.name === name)?.value;
      assert.equal(shown, 'postgres://ada:***@db:5433/app');
    }
  });
});
