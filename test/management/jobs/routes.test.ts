import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mustOpenJobsPages, managementToken as token } from '../../helpers/jobs-pages.ts';
import { mustStoreJob, type StoredJob } from '../../helpers/stored-job.ts';
import { mustConnect, mustCreateDatabase, mustOpenTestDatabase } from '../../helpers/test-database.ts';

/** A job with a secret in every place that can contain one. */
const secretive: StoredJob = {
  state: 'failed',
  payload: { email: 'secret@example.com' },
  progressMessage: 'secret progress',
  uniqueKey: 'secret key',
  errors: [
    {
      ...{ attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'threw', message: 'secret message' },
      ...{ details: { line: 'secret' }, stack: 'Error: secret' },
    },
  ],
};

describe('access to the dashboard', () => {
  const cases = [
    { configured: false, loopback: true, shown: '', read: 200, contents: true, write: 403 },
    { configured: false, loopback: false, shown: '', read: 200, contents: false, write: 403 },
    { configured: true, loopback: true, shown: '', read: 200, contents: false, write: 401 },
    { configured: true, loopback: false, shown: '', read: 401, contents: false, write: 401 },
    { configured: true, loopback: true, shown: token, read: 200, contents: true, write: 204 },
    { configured: true, loopback: false, shown: token, read: 200, contents: true, write: 204 },
    { configured: true, loopback: true, shown: 'a wrong one', read: 401, contents: false, write: 401 },
    { configured: true, loopback: false, shown: 'a wrong one', read: 401, contents: false, write: 401 },
  ];
  for (const { configured, loopback, shown, read, contents, write } of cases) {
    const name = [
      configured ? 'a token is configured' : 'no token is configured',
      loopback ? 'only this machine reaches the port' : 'others reach the port',
      shown === '' ? 'none is shown' : shown === token ? 'it is shown' : 'a wrong one is shown',
    ].join(', ');
    test(name, async (t) => {
      const database = await mustOpenTestDatabase(t);
      const id = await mustStoreJob(database.sql, secretive);
      const pages = await mustOpenJobsPages(t, { database, loopback, token: configured ? token : '' });
      for (const path of ['overview', 'jobs', `jobs/${id}`]) {
        const answer = await pages.read(path, shown);
        assert.equal(answer.status, read, path);
        if (path !== 'overview') assert.equal(/secret/.test(answer.text), contents, path);
        if (read === 200) assert.equal(answer.json.access.contents, contents);
      }
      for (const path of ['queues/default/pause', 'queues/default/resume', `jobs/${id}/retry`]) {
        assert.equal((await pages.change(path, shown)).status, write, path);
      }
      // After that many wrong tokens there is a wait.
      const last = shown === 'a wrong one' ? 429 : write === 204 ? 200 : write;
      assert.equal((await pages.change('retry-failed', shown)).status, last);
      assert.doesNotMatch(pages.log.text(), /correct-horse/);
    });
  }

  test('on a local server with a token of its own, reading needs no token, and a change needs it', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const id = await mustStoreJob(database.sql, secretive);
    const pages = await mustOpenJobsPages(t, { database, localToken: token });
    const read = await pages.read(`jobs/${id}`);
    assert.deepEqual(read.json.access, { writes: 'token_missing', contents: true });
    assert.match(read.text, /secret@example/);
    const rejected = await pages.change(`jobs/${id}/retry`);
    assert.equal(rejected.status, 401);
    assert.match(rejected.json.detail, /the file management-token in the data folder/);
    assert.equal((await pages.change(`jobs/${id}/retry`, 'a wrong one')).status, 401);
    assert.equal((await pages.read('overview', 'a wrong one')).status, 401);
    assert.equal((await pages.change(`jobs/${id}/retry`, token)).status, 204);
    assert.equal((await pages.read('overview', token)).json.access.writes, 'allowed');
    assert.equal((await pages.page('/metrics')).status, 200, 'everything else is as open as before');
  });

  test('a rejected change names the setting', async (t) => {
    const pages = await mustOpenJobsPages(t, { database: null });
    assert.match((await pages.change('queues/mail/pause')).json.detail, /set APP_MANAGEMENT_TOKEN/);
  });
});

describe('the Host of a request to a loopback port', () => {
  for (const [host, status] of [
    ['localhost:9181', 200],
    ['127.0.0.1:9181', 200],
    ['127.8.8.8', 200],
    ['[::1]:9181', 200],
    ['127.999.1.1', 421],
    ['127.0.0.1.1', 421],
    ['rebound.example', 421],
    ['127.0.0.1.rebound.example', 421],
    ['localhost.rebound.example:9181', 421],
  ] as const) {
    test(`a request with the Host ${host} is answered with ${status}`, async (t) => {
      const database = await mustOpenTestDatabase(t);
      const { read } = await mustOpenJobsPages(t, { database, token });
      assert.equal((await read('jobs', '', { host })).status, status);
    });
  }

  test('on a port that others reach, a request with a token needs a Host of the settings too', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { read, change } = await mustOpenJobsPages(t, { database, token, loopback: false });
    assert.equal((await read('jobs', token, { host: 'jobs.internal' })).status, 200);
    assert.equal((await read('jobs', token, { host: 'rebound.example' })).status, 421);
    assert.equal((await change('queues/mail/pause', token, { host: 'rebound.example' })).status, 421);
  });
});

test('the overview has counts, paused queues, runners and the last hour', async (t) => {
  const database = await mustOpenTestDatabase(t);
  await mustStoreJob(database.sql, { state: 'available', queue: 'mail' });
  await mustStoreJob(database.sql, { state: 'completed' });
  const { read } = await mustOpenJobsPages(t, { database });
  const { json } = await read('overview');
  assert.equal(json.active[0].queue, 'mail');
  assert.equal(json.active[0].jobs, 1);
  assert.match(json.active[0].first_run_at, /^\d{4}-.*Z$/);
  assert.equal(json.finished[0].state, 'completed');
  assert.deepEqual([json.paused, json.runners], [[], []]);
  assert.equal(json.minutes.length, 60);
  const finished = json.minutes.map((minute: { completed: number }) => minute.completed);
  assert.equal(Math.max(...finished), 1);
});

test('the list accepts filters, ignores empty ones, and rejects invalid ones', async (t) => {
  const database = await mustOpenTestDatabase(t);
  await mustStoreJob(database.sql, { state: 'available', queue: 'mail' });
  const id = await mustStoreJob(database.sql, { state: 'failed', requestId: '8c1f-aa' });
  const { read } = await mustOpenJobsPages(t, { database });
  const { json } = await read('jobs?state=failed&queue=&task=&text=8c1f');
  assert.deepEqual(
    json.jobs.map((job: { id: number }) => job.id),
    [id],
  );
  for (const query of ['state=lost', 'before=-1', 'before=x', `text=${'x'.repeat(201)}`]) {
    assert.equal((await read(`jobs?${query}`)).status, 422, query);
  }
});

test('a job is returned with its history and its contents', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const id = await mustStoreJob(database.sql, secretive);
  const { read } = await mustOpenJobsPages(t, { database });
  const { job } = (await read(`jobs/${id}`)).json;
  assert.deepEqual(job.payload, secretive.payload);
  assert.deepEqual(job.errors, secretive.errors);
  assert.equal((await read(`jobs/${id + 1}`)).status, 404);
});

test('retries, cancellations and pauses by an operator are logged', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const failed = await mustStoreJob(database.sql, { state: 'failed', queue: 'mail' });
  const waiting = await mustStoreJob(database.sql, { state: 'available' });
  const pages = await mustOpenJobsPages(t, { database, token });
  const stateOf = async (id: number) => (await pages.read(`jobs/${id}`, token)).json.job.state;

  assert.equal((await pages.change(`jobs/${failed}/retry`, token)).status, 204);
  assert.equal(await stateOf(failed), 'available');
  assert.equal((await pages.change(`jobs/${waiting}/cancel`, token)).status, 204);
  assert.equal(await stateOf(waiting), 'cancelled');
  assert.equal((await pages.change('queues/mail/pause', token)).status, 204);
  assert.equal((await pages.read('overview', token)).json.paused[0].queue, 'mail');
  assert.equal((await pages.change('queues/mail/resume', token)).status, 204);
  assert.deepEqual((await pages.read('overview', token)).json.paused, []);

  const lines = pages.log.of('job.changed_by_hand');
  assert.deepEqual(
    lines.map(({ action }) => action),
    ['retry', 'cancel', 'pause', 'resume'],
  );
  assert.equal(lines[0]?.job_id, failed);
  assert.equal(lines[2]?.queue, 'mail');
});

const away = { attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'threw', message: 'Away.' } as const;

test('a job that waits for a retry is retrying in the overview, the list and its own page', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const id = await mustStoreJob(database.sql, { state: 'scheduled', queue: 'mail', errors: [away] });
  await mustStoreJob(database.sql, { state: 'scheduled', queue: 'mail' });
  const { read } = await mustOpenJobsPages(t, { database });
  const states = (await read('overview')).json.active.map(({ state }: { state: string }) => state);
  assert.deepEqual(states.sort(), ['retrying', 'scheduled']);
  const { jobs } = (await read('jobs?state=retrying')).json;
  assert.deepEqual([jobs.length, jobs[0].id, jobs[0].state], [1, id, 'retrying']);
  assert.equal((await read(`jobs/${id}`)).json.job.state, 'retrying');
  assert.deepEqual((await read('run-retrying?queue=mail')).json, { jobs: 1, or_more: false });
});

test('an operator runs one scheduled job now, and all retrying jobs of a queue, and both are logged', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const runAt = new Date(Date.now() + 3_600_000);
  const one = await mustStoreJob(database.sql, { state: 'scheduled', runAt });
  const retrying = { state: 'scheduled', runAt, errors: [away] } as const;
  for (let each = 0; each < 2; each += 1) await mustStoreJob(database.sql, { ...retrying, queue: 'mail' });
  const other = await mustStoreJob(database.sql, retrying);
  const pages = await mustOpenJobsPages(t, { database, token });
  const stateOf = async (id: number) => (await pages.read(`jobs/${id}`, token)).json.job.state;

  assert.equal((await pages.change(`jobs/${one}/run`)).status, 401);
  assert.equal((await pages.change('run-retrying?queue=mail')).status, 401);
  assert.equal(await stateOf(one), 'scheduled');
  assert.equal((await pages.change(`jobs/${one}/run`, token)).status, 204);
  assert.equal(await stateOf(one), 'available');
  assert.equal((await pages.change(`jobs/${one}/run`, token)).status, 409, 'it is available already');
  assert.equal((await pages.change('jobs/4711/run', token)).status, 404);
  assert.deepEqual((await pages.change('run-retrying?queue=mail', token)).json, { started: 2, after: null });
  assert.equal(await stateOf(other), 'retrying');
  const lines = pages.log.of('job.changed_by_hand');
  assert.deepEqual(
    lines.map(({ action, job_id, queue, started }) => [action, job_id, queue, started]),
    [
      ['run_now', one, undefined, undefined],
      ['run_retrying', undefined, 'mail', 2],
    ],
  );
});

test('an operator pauses, resumes and runs a schedule, and each is logged', async (t) => {
  const database = await mustOpenTestDatabase(t);
  await database.sql`
    insert into job_schedules (name, cron, time_zone, last_tick) values ('daily_report', '0 6 * * *', 'UTC', now())`;
  const pages = await mustOpenJobsPages(t, { database, token });
  const schedule = async () => (await pages.read('overview', token)).json.schedules[0];
  assert.deepEqual(
    [(await schedule()).paused_at, (await schedule()).last_run_at, (await schedule()).last_job],
    [null, null, null],
  );
  assert.match((await schedule()).next_run_at, /T06:00:00/);
  assert.equal((await pages.change('schedules/daily_report/pause')).status, 401);
  assert.equal((await pages.change('schedules/daily_report/pause', token)).status, 204);
  assert.ok((await schedule()).paused_at);
  assert.equal((await pages.change('schedules/daily_report/run', token)).status, 409);
  assert.equal((await pages.change('schedules/daily_report/resume', token)).status, 204);
  assert.equal((await pages.change('schedules/daily_report/run', token)).status, 204);
  assert.ok((await schedule()).run_requested_at);
  assert.equal((await pages.change('schedules/dayly/run', token)).status, 404);
  assert.deepEqual(
    pages.log.of('job.changed_by_hand').map(({ action, schedule: name }) => [action, name]),
    ['pause_schedule', 'resume_schedule', 'run_schedule'].map((action) => [action, 'daily_report']),
  );
});

test('a change that the state of a job does not allow is a conflict, and an invalid queue name is rejected', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const done = await mustStoreJob(database.sql, { state: 'completed' });
  const pages = await mustOpenJobsPages(t, { database, token });
  assert.equal((await pages.change(`jobs/${done}/retry`, token)).status, 409);
  assert.equal((await pages.change(`jobs/${done}/cancel`, token)).status, 409);
  assert.equal((await pages.change('queues/No%20Queue/pause', token)).status, 422);
  assert.deepEqual(pages.log.of('job.changed_by_hand'), []);
});

test('changes of unknown jobs and queues are answered with 404, and nothing is changed or logged', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const pages = await mustOpenJobsPages(t, { database, token });
  for (const [path, detail] of [
    ['jobs/4711/retry', /^There is no job 4711: it may have been pruned\.$/],
    ['jobs/4711/cancel', /^There is no job 4711: it may have been pruned\.$/],
    ['queues/mial/pause', /^There is no queue mial\.$/],
    ['queues/mial/resume', /^There is no queue mial\.$/],
  ] as const) {
    const { status, json } = await pages.change(path, token);
    assert.equal(status, 404, path);
    assert.match(json.detail, detail);
  }
  assert.equal((await database.sql`select from job_queues`).length, 0);
  assert.deepEqual(pages.log.of('job.changed_by_hand'), []);
});

test('a wrong token and a missing one have different problems', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const pages = await mustOpenJobsPages(t, { database, token });
  const wrong = await pages.read('overview', 'a wrong one');
  assert.equal(wrong.json.detail, 'The token is not the management token.');
  const missing = await pages.change('queues/default/pause');
  assert.match(missing.json.detail, /^Send the value of APP_MANAGEMENT_TOKEN/);
});

test('the number of failed jobs that can be retried is returned', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const refused = { attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'refused', message: 'No.' } as const;
  await mustStoreJob(database.sql, { state: 'failed', queue: 'mail', errors: [refused] });
  for (const queue of ['mail', 'mail', 'default'])
    await mustStoreJob(database.sql, { state: 'failed', queue });
  const { read } = await mustOpenJobsPages(t, { database });
  assert.deepEqual((await read('retry-failed')).json, { jobs: 3, or_more: false });
  assert.deepEqual((await read('retry-failed?queue=mail&task=')).json, { jobs: 2, or_more: false });
});

test('failed jobs are retried in a batch, for one queue or task', async (t) => {
  const database = await mustOpenTestDatabase(t);
  await mustStoreJob(database.sql, { state: 'failed', queue: 'mail' });
  await mustStoreJob(database.sql, { state: 'failed' });
  const pages = await mustOpenJobsPages(t, { database, token });
  const answer = await pages.change('retry-failed?queue=mail&after=0', token);
  assert.deepEqual(answer.json, { retried: 1, after: null });
  const [line] = pages.log.of('job.changed_by_hand');
  assert.deepEqual([line?.action, line?.queue, line?.retried], ['retry_failed', 'mail', 1]);
});

describe('the dashboard without data', () => {
  test('a database that is not open yet, disabled or not migrated is a problem with a sentence', async (t) => {
    const empty = mustConnect(t, { url: await mustCreateDatabase(t, { empty: true }) });
    for (const [database, code, detail] of [
      [undefined, 'not_ready', /starting/],
      [null, 'database_disabled', /set APP_DATABASE_URL/],
      [empty, 'not_ready', /npm run migrate/],
    ] as const) {
      const { read } = await mustOpenJobsPages(t, { database });
      for (const path of ['overview', 'jobs', 'jobs/1']) {
        const answer = await read(path);
        assert.equal(answer.status, 503, path);
        assert.equal(answer.json.code, code);
        assert.match(answer.json.detail, detail);
      }
    }
  });

  test('probes are answered while the database is unavailable', async (t) => {
    const database = mustConnect(t, {
      url: 'postgres://nobody@127.0.0.1:1/nothing',
      connectTimeoutSeconds: 1,
    });
    const { read, page } = await mustOpenJobsPages(t, { database });
    const reading = read('overview');
    assert.equal((await page('/livez')).status, 200);
    assert.equal((await reading).status, 503);
  });
});
