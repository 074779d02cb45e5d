import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApiClient } from '../../../helpers/api-client.ts';
import { mustCreateManualRunner } from '../../../helpers/manual-runner.ts';
import {
  mustMakeKey,
  mustRegister,
  mustServeApi,
  mustSignIn,
  mustSignInAdmin,
  type TestApi,
} from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';

const pathOf = (id: number) => `/api/v1/users/${id}/welcome`;

async function jobsOf({ app }: TestApi): Promise<number> {
  const [row] = await app.database.sql<{ count: number }[]>`select count(*)::integer as count from jobs`;
  return row?.count ?? 0;
}

describe('welcoming a user', () => {
  it('welcoming a user starts a task that sends a mail, and returns its URL', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const answer = await ada.post(pathOf(ada.user.id), undefined, { 'x-request-id': 'welcome-1' });
    assert.equal(answer.status, 202);
    assert.deepEqual(Object.keys(answer.body), ['task_id']);
    const location = answer.headers.get('location') ?? '';
    assert.equal(location, `/api/v1/tasks/${answer.body.task_id}`);
    const task = await ada.get(location);
    assert.deepEqual([task.body.task, task.body.state], ['send_email', 'available']);
    const job = await (await mustCreateManualRunner(api.app.database)).mustClaim('mails');
    assert.deepEqual(job.payload, {
      to: 'ada@example.org',
      subject: 'Strata: Welcome!',
      body: 'Hello ada,\n\nwelcome to Strata.\n\nStrata\n',
    });
    assert.deepEqual([job.requestId, job.userId], ['welcome-1', ada.user.id]);
  });

  it('welcoming a user twice before the mail is sent starts one task', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const answers = await Promise.all([1, 2, 3, 4].map(() => ada.post(pathOf(ada.user.id), undefined)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map(({ body }) => body.task_id)).size, 1);
    assert.equal(await jobsOf(api), 1);
    const runner = await mustCreateManualRunner(api.app.database);
    await runner.complete(await runner.mustClaim('mails'), null);
    const later = await ada.post(pathOf(ada.user.id), undefined);
    assert.notEqual(later.body.task_id, answers[0]?.body.task_id);
  });

  it('repeating a welcome with the same Idempotency-Key returns the same response, even after the mail was sent', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const key = { 'idempotency-key': 'k-1' };
    const first = await ada.post(pathOf(ada.user.id), undefined, key);
    const runner = await mustCreateManualRunner(api.app.database);
    await runner.complete(await runner.mustClaim('mails'), null);
    const second = await ada.post(pathOf(ada.user.id), undefined, key);
    assert.deepEqual([second.status, second.text], [first.status, first.text]);
    assert.equal(second.headers.get('location'), first.headers.get('location'));
    assert.equal(second.headers.get('idempotency-replayed'), 'true');
    assert.equal(await jobsOf(api), 1);
  });

  it('the user and admins can start a welcome, and the user sees the task of an admin', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const root = await mustSignInAdmin(api, 'root');
    const grace = await mustRegister(api, 'grace');
    for (const id of [grace.id, 999_999]) assert.equal((await ada.post(pathOf(id), undefined)).status, 404);
    assert.equal((await api.post(pathOf(ada.user.id), undefined)).status, 401);
    assert.equal(await jobsOf(api), 0);
    const started = await root.post(pathOf(ada.user.id), undefined);
    assert.equal(started.status, 202);
    assert.equal((await ada.get(started.headers.get('location') ?? '')).status, 200);
  });

  it('welcoming a user with an API key needs the scope tasks:write', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const statuses = [];
    for (const scope of ['tasks:read', 'tasks:write'] as const) {
      const key = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, [scope]) });
      statuses.push((await key.post(pathOf(ada.user.id), undefined)).status);
    }
    assert.deepEqual(statuses, [403, 202]);
  });

  it('welcomes are limited to 10 per hour', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const statuses = [];
    for (let index = 0; index < 11; index += 1)
      statuses.push((await ada.post(pathOf(ada.user.id), undefined)).status);
    assert.deepEqual(statuses, [...Array(10).fill(202), 429]);
  });

  it('welcoming a user without mail is 503', async (t) => {
    const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), mailer: null });
    const api = { ...createApiClient(app.url), app };
    const ada = await mustSignIn(api, 'ada');
    const answer = await ada.post(pathOf(ada.user.id), undefined);
    assert.deepEqual([answer.status, answer.body.code], [503, 'mail_disabled']);
    assert.equal(await jobsOf(api), 0);
  });
});
