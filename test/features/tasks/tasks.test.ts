import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { createQueue, type EnqueueOptions } from '../../../src/jobs/queue.ts';
import { defineTask } from '../../../src/jobs/task.ts';
import { createApiClient } from '../../helpers/api-client.ts';
import { connectEvents, followEvents } from '../../helpers/event-source.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustCreateManualRunner } from '../../helpers/manual-runner.ts';
import {
  mustMakeKey,
  mustSignIn,
  mustSignInAdmin,
  type SignedIn,
  type TestApi,
} from '../../helpers/test-api.ts';
import { mustStartApp } from '../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../helpers/test-database.ts';

const count = defineTask({
  name: 'count',
  payload: z.object({ to: z.int(), secret: z.string() }),
  queue: 'counts',
});

/** The application with a queue of counting tasks, which only the test runs. */
async function mustServeTasks(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const queue = createQueue({ definitions: [count] });
  const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), queue, env });
  const api: TestApi = { ...createApiClient(app.url), app };
  const { sql } = app.database;
  return {
    api,
    runner: await mustCreateManualRunner(app.database),
    /** Enqueues for a user, and returns the path of the task. */
    async enqueueFor(userId: number | null, options: EnqueueOptions = {}): Promise<string> {
      const payload = { to: 3, secret: 'a hidden payload' };
      const { job } = await queue.enqueue(sql, count, payload, {
        ...options,
        ...(userId !== null && { userId }),
      });
      return `/api/v1/tasks/${job.id}`;
    },
  };
}

describe('a task', () => {
  it('a task is shown while it waits, runs and completes, without its payload', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const waiting = await ada.get(path);
    const { created_at, run_at, ...rest } = waiting.body;
    assert.ok(Date.parse(created_at) <= Date.parse(run_at) + 1000);
    assert.deepEqual(rest, {
      id: Number(path.split('/').at(-1)),
      task: 'count',
      state: 'available',
      progress: 0,
      progress_message: null,
      cancel_requested: false,
      result: null,
      error: null,
      attempt: 0,
      max_attempts: 10,
      started_at: null,
      finished_at: null,
    });
    const job = await runner.mustClaim('counts');
    await runner.progress(job, 0.25, 'at 1 of 4');
    const running = await ada.get(path);
    assert.deepEqual(
      [running.body.state, running.body.attempt, running.body.progress, running.body.progress_message],
      ['running', 1, 0.25, 'at 1 of 4'],
    );
    assert.ok(Date.parse(running.body.started_at) > 0);
    await runner.complete(job, { counted: [1, 2, 3] });
    const done = await ada.get(path);
    assert.deepEqual(
      [done.body.state, done.body.progress, done.body.result],
      ['completed', 1, { counted: [1, 2, 3] }],
    );
    assert.ok(Date.parse(done.body.finished_at) > 0);
    assert.ok(!done.text.includes('payload'));
  });

  it('the entity tag of a task changes with the task', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const tag = (await ada.get(path)).headers.get('etag') ?? '';
    assert.equal((await ada.get(path, { 'if-none-match': tag })).status, 304);
    await runner.mustClaim('counts');
    assert.equal((await ada.get(path, { 'if-none-match': tag })).status, 200);
  });

  it('a task that refuses shows its message and details', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const error = {
      code: 'refused',
      message: 'Row 2 has no name.',
      details: { rows: [2] },
      stack: 'at x',
    } as const;
    await runner.fail(await runner.mustClaim('counts'), error);
    const { body, text } = await ada.get(path);
    assert.deepEqual(
      [body.state, body.error],
      ['failed', { code: 'refused', message: 'Row 2 has no name.', details: { rows: [2] } }],
    );
    assert.ok(!text.includes('stack') && !text.includes('at x'));
  });

  it('a task that fails unexpectedly shows a general message without internals', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const error = {
      code: 'threw',
      message: 'connect ECONNREFUSED 10.1.2.3:25',
      details: ['10.1.2.3'],
    } as const;
    await runner.fail(await runner.mustClaim('counts'), error, 60_000);
    const { body, text } = await ada.get(path);
    assert.deepEqual([body.state, body.error.code, body.error.details], ['scheduled', 'threw', null]);
    assert.match(body.error.message, /server error/);
    assert.ok(!text.includes('10.1.2.3'));
  });

  it('only its user and admins can read a task', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const grace = await mustSignIn(api, 'grace');
    const root = await mustSignInAdmin(api, 'root');
    const own = await enqueueFor(ada.user.id);
    const systems = await enqueueFor(null);
    const statuses = async (who: SignedIn, path: string) => [
      (await who.get(path)).status,
      (await who.get(`${path}/events`, { 'last-event-id': '1' }).catch(() => ({ status: 0 }))).status,
      (await who.delete(path)).status,
    ];
    assert.deepEqual(await statuses(grace, own), [404, 404, 404]);
    assert.deepEqual(await statuses(ada, systems), [404, 404, 404]);
    assert.deepEqual(await statuses(grace, '/api/v1/tasks/999999'), [404, 404, 404]);
    for (const path of [own, systems]) assert.equal((await root.get(path)).status, 200);
    assert.equal((await ada.get(own)).body.state, 'available');
    for (const path of [own, `${own}/events`]) assert.equal((await api.get(path)).status, 401);
  });

  it('a task is read and cancelled by API keys with the scopes for it', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const reader = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['tasks:read']) });
    const writer = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['tasks:write']) });
    assert.deepEqual([(await reader.get(path)).status, (await writer.get(path)).status], [200, 403]);
    assert.deepEqual([(await reader.delete(path)).status, (await writer.delete(path)).status], [403, 200]);
  });
});

describe('cancelling a task', () => {
  it('cancelling a task with another version in If-Match is 412 and changes nothing', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const stale = (await ada.get(path)).headers.get('etag') ?? '';
    await runner.mustClaim('counts');
    const tag = (await ada.get(path)).headers.get('etag') ?? '';
    for (const fields of [{ 'if-match': stale }, { 'if-none-match': tag }, { 'if-none-match': '*' }]) {
      assert.equal((await ada.delete(path, fields)).status, 412);
      assert.equal((await ada.get(path)).body.cancel_requested, false);
    }
    assert.equal((await ada.delete(path, { 'if-match': tag })).status, 202);
  });

  it('a waiting task is cancelled immediately, and a repeated request changes nothing', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const first = await ada.delete(path);
    const again = await ada.delete(path);
    assert.deepEqual([first.status, first.body.state, again.status], [200, 'cancelled', 200]);
    assert.deepEqual(again.body, first.body);
    const lines = api.app.log.of('task.cancelled');
    assert.deepEqual(
      lines.map(({ job_id, by_user_id }) => [job_id, by_user_id]),
      [[first.body.id, ada.user.id]],
    );
  });

  it('a running task gets a cancel request and is cancelled shortly after', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const job = await runner.mustClaim('counts');
    for (const answer of [await ada.delete(path), await ada.delete(path)]) {
      assert.deepEqual(
        [answer.status, answer.body.state, answer.body.cancel_requested],
        [202, 'running', true],
      );
    }
    await runner.endCancelled(job);
    const answer = await ada.delete(path);
    assert.deepEqual(
      [answer.status, answer.body.state, answer.body.cancel_requested],
      [200, 'cancelled', false],
    );
  });

  it('cancelling a completed or failed task is rejected', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const completed = await enqueueFor(ada.user.id);
    await runner.complete(await runner.mustClaim('counts'), null);
    const failed = await enqueueFor(ada.user.id);
    await runner.fail(await runner.mustClaim('counts'), { code: 'refused', message: 'No.' });
    for (const path of [completed, failed]) {
      const answer = await ada.delete(path);
      assert.deepEqual([answer.status, answer.body.code], [409, 'conflict']);
    }
  });
});

describe('the events of a task', () => {
  it('the events of a task are its states and progress up to the final state, after which the client does not reconnect', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const url = `${api.app.url}${path}/events`;
    const connection = await connectEvents(url, ada.headers);
    assert.equal(connection.status, 200);
    assert.equal(connection.headers['content-type'], 'text/event-stream');
    assert.equal(connection.headers['content-encoding'], undefined);
    assert.equal(connection.headers['cache-control'], 'no-store, max-age=0');
    const last = (event: string, field: string, value: unknown) =>
      eventually(`${field} is ${value}`, () => {
        const received = connection.events().at(-1);
        return received?.event === event && JSON.parse(received.data)[field] === value;
      });
    await last('state', 'state', 'available');
    const job = await runner.mustClaim('counts');
    await last('state', 'state', 'running');
    await runner.progress(job, 0.5, 'half');
    await last('progress', 'progress', 0.5);
    await runner.complete(job, { counted: 3 });
    assert.equal(await connection.ended, true);
    const final = connection.events().at(-1);
    assert.deepEqual(JSON.parse(final?.data ?? ''), (await ada.get(path)).body);
    const again = await connectEvents(url, { ...ada.headers, 'last-event-id': final?.id ?? '' });
    assert.deepEqual([again.status, again.text()], [204, '']);
  });

  it('a client whose connection breaks gets each event once, and the newest state immediately', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const url = `${api.app.url}${path}/events`;
    const first = await connectEvents(url, ada.headers);
    await eventually('the first event is there', () => first.events().length === 1);
    first.close();
    const job = await runner.mustClaim('counts');
    await runner.progress(job, 0.5);
    const lastId = first.events().at(-1)?.id ?? '';
    const second = await connectEvents(url, { ...ada.headers, 'last-event-id': lastId });
    await eventually('the newest is there', () => second.events().length === 1);
    assert.equal(JSON.parse(second.events()[0]?.data ?? '').progress, 0.5);
    second.close();
    const third = await connectEvents(url, {
      ...ada.headers,
      'last-event-id': second.events()[0]?.id ?? '',
    });
    await runner.complete(job, null);
    assert.equal(await third.ended, true);
    assert.deepEqual(
      third.events().map(({ data }) => JSON.parse(data).state),
      ['completed'],
    );
  });

  it('the event stream of a finished task has only the final state', async (t) => {
    const { api, runner, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    await runner.complete(await runner.mustClaim('counts'), null);
    const { events, status, connections } = await followEvents(`${api.app.url}${path}/events`, ada.headers);
    assert.deepEqual([events.length, status, connections], [1, 204, 2]);
  });

  it('a server that stops closes its event streams at once', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t, { APP_SHUTDOWN_GRACE_SECONDS: '30' });
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const connection = await connectEvents(`${api.app.url}${path}/events`, ada.headers);
    await eventually('the first event is there', () => connection.events().length === 1);
    const since = performance.now();
    await api.app.stop();
    assert.equal(await connection.ended, true);
    assert.ok(performance.now() - since < 10_000);
  });

  it('the server closes an event stream when the session of its client is deleted', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t, { SECURITY_SESSION_RECHECK_SECONDS: '0' });
    const ada = await mustSignIn(api, 'ada');
    const path = await enqueueFor(ada.user.id);
    const url = `${api.app.url}${path}/events`;
    const connection = await connectEvents(url, ada.headers);
    await eventually('the first event is there', () => connection.events().length === 1);
    await api.app.database.sql`delete from sessions where user_id = ${ada.user.id}`;
    assert.equal(await connection.ended, true);
    assert.equal((await connectEvents(url, ada.headers)).status, 401);
  });

  it('watched tasks cost one query per poll, and none without viewers', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const connections = [];
    for (let index = 0; index < 6; index += 1) {
      const path = await enqueueFor(ada.user.id);
      connections.push(await connectEvents(`${api.app.url}${path}/events`, ada.headers));
    }
    const polls = () =>
      api.app.log.of('database.query').filter(({ query }) => String(query).includes('id = any')).length;
    const before = polls();
    const since = performance.now();
    await eventually('some polls have passed', () => polls() - before >= 3);
    const most = (performance.now() - since) / 250 + 2;
    assert.ok(polls() - before <= most, `${polls() - before} polls`);
    for (const connection of connections) connection.close();
    let seen = polls();
    await eventually('a second passes without a poll', async () => {
      const quietSince = performance.now();
      await eventually(
        'a poll or a second',
        () => polls() !== seen || performance.now() - quietSince > 1_000,
      );
      const quiet = polls() === seen;
      seen = polls();
      return quiet;
    });
  });

  it('a user who watches too many tasks gets 429', async (t) => {
    const { api, enqueueFor } = await mustServeTasks(t);
    const ada = await mustSignIn(api, 'ada');
    const url = `${api.app.url}${await enqueueFor(ada.user.id)}/events`;
    const connections = [];
    for (let index = 0; index < 20; index += 1) connections.push(await connectEvents(url, ada.headers));
    assert.deepEqual(new Set(connections.map(({ status }) => status)), new Set([200]));
    const refused = await connectEvents(url, ada.headers);
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '5']);
    connections[0]?.close();
    await eventually('there is room again', async () => {
      const next = await connectEvents(url, ada.headers);
      next.close();
      return next.status === 200;
    });
    for (const connection of connections) connection.close();
  });
});
