import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { taskDefinitions } from '../../../src/declarations.ts';
import { AppError } from '../../../src/errors.ts';
import { uploads } from '../../../src/features/uploads/feature.ts';
import { createImportUsersTask } from '../../../src/features/uploads/tasks.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { type ClientResponse, createApiClient } from '../../helpers/api-client.ts';
import { mustReceiveToken } from '../../helpers/mailed-token.ts';
import { mustCreateManualRunner } from '../../helpers/manual-runner.ts';
import { type FormPart, formBody, formType } from '../../helpers/multipart.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { makeTaskContext } from '../../helpers/task-context.ts';
import { mustMakeKey, mustSignIn, mustSignInAdmin, type SignedIn } from '../../helpers/test-api.ts';
import { mustStartApp, type TestAppOptions } from '../../helpers/test-app.ts';
import { mustConnect, mustCreateDatabase } from '../../helpers/test-database.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const path = '/api/v1/uploads';
const csv = 'username,email\ngrace,grace@example.org\n';
const aFile = (content: string | Uint8Array = csv): FormPart => ({
  name: 'file',
  filename: '../users.csv',
  content,
});

/** The application with a folder of its own, and an admin who has signed in. */
async function mustServe(t: TestContext, options: TestAppOptions = {}) {
  const dataDir = await mustMakeFolder(t);
  const databaseUrl = await mustCreateDatabase(t);
  const app = await mustStartApp(t, {
    databaseUrl,
    ...options,
    env: { APP_DATA_DIR: dataDir, ...options.env },
  });
  const api = { ...createApiClient(app.url), app };
  const folder = join(dataDir, 'uploads');
  return {
    api,
    app,
    folder,
    admin: await mustSignInAdmin(api, 'admin'),
    files: () => readdir(folder).catch(() => []),
    async send(who: Pick<SignedIn, 'headers'>, ...parts: FormPart[]) {
      const headers = { ...who.headers, 'content-type': formType };
      const answer = await fetch(app.url + path, { method: 'POST', headers, body: formBody(...parts) });
      const body: ClientResponse['body'] = await answer.json();
      return { status: answer.status, headers: answer.headers, body };
    },
    async jobs(): Promise<number> {
      const [row] = await app.database.sql<{ count: number }[]>`select count(*)::integer as count from jobs`;
      return row?.count ?? 0;
    },
  };
}

describe('an upload', () => {
  it('an upload of an admin is stored, starts the task and returns its URL', async (t) => {
    const { admin, send, folder, files, app } = await mustServe(t);
    const { status, headers, body } = await send(admin, aFile(), { name: 'kind', content: 'import_users' });
    assert.equal(status, 202);
    const sha256 = createHash('sha256').update(csv).digest('hex');
    assert.deepEqual(body, { task_id: body.task_id, bytes: csv.length, sha256 });
    assert.equal(headers.get('location'), `/api/v1/tasks/${body.task_id}`);
    const task = await admin.get(headers.get('location') ?? '');
    assert.deepEqual([task.body.task, task.body.state], ['import_users', 'available']);
    const [file = ''] = await files();
    assert.equal(await readFile(join(folder, file), 'utf8'), csv);
    const job = await (await mustCreateManualRunner(app.database)).mustClaim('default');
    assert.deepEqual([job.payload, job.userId], [{ file }, admin.user.id]);
    const [line] = app.log.of('upload.received');
    assert.deepEqual([line?.user_id, line?.task_id, line?.sha256], [admin.user.id, body.task_id, sha256]);
  });

  it('uploaded users can set a password by mail and sign in', async (t) => {
    const { admin, send, folder, api, app } = await mustServe(t);
    await send(admin, aFile());
    const { payload } = await (await mustCreateManualRunner(app.database)).mustClaim('default');
    await createImportUsersTask({ folder }).run(payload, makeTaskContext(app.database));
    const login = (password: string) => api.post('/api/v1/auth/login', { username: 'grace', password });
    assert.equal((await login('correct horse battery staple')).status, 401);
    await api.post('/api/v1/auth/password-reset', { email: 'grace@example.org' });
    const token = await mustReceiveToken(api, 'grace@example.org', /password/i);
    const confirmed = await api.post('/api/v1/auth/password-reset/confirm', {
      token,
      new_password: 'correct horse battery staple',
    });
    assert.ok(confirmed.status < 300, confirmed.text);
    assert.equal((await login('correct horse battery staple')).status, 200);
  });

  it('an upload of another user is rejected before it is read and leaves no file', async (t) => {
    const { api, admin, send, files, jobs } = await mustServe(t);
    const ada = await mustSignIn(api, 'ada');
    assert.equal((await send(ada, aFile())).status, 403);
    const key = await mustMakeKey(admin, ['users:write']);
    const headers = { 'x-api-key': key, authorization: '' };
    assert.notEqual((await send({ headers }, aFile())).status, 202);
    const anonymous = await api.post(path, 'x', { 'content-type': formType });
    assert.equal(anonymous.status, 401);
    assert.deepEqual([await files(), await jobs()], [[], 0]);
  });

  const refused: [what: string, parts: readonly FormPart[], status: number, expected: RegExp][] = [
    ['that is not a CSV file', [aFile('PK\x03\x04')], 415, /spreadsheet/],
    ['that is empty', [aFile('')], 422, /"pointer":"\/file","detail":"The file is empty\."/],
    [
      'with an unknown kind',
      [aFile(), { name: 'kind', content: 'format_disk' }],
      422,
      /"pointer":"\/kind","detail":"Use import_users\."/,
    ],
    ['without a file', [{ name: 'kind', content: 'import_users' }], 422, /"pointer":"\/file"/],
  ];
  for (const [what, parts, status, expected] of refused) {
    it(`an upload ${what} is rejected and leaves no file`, async (t) => {
      const { admin, send, files, jobs } = await mustServe(t);
      const answer = await send(admin, ...parts);
      assert.equal(answer.status, status);
      assert.match(JSON.stringify(answer.body), expected);
      assert.deepEqual([await files(), await jobs()], [[], 0]);
    });
  }

  it('an upload above SECURITY_MAX_UPLOAD_SIZE is 413, even if other bodies may be larger', async (t) => {
    const { admin, send, files } = await mustServe(t, { env: { SECURITY_MAX_UPLOAD_SIZE: '1000' } });
    assert.equal((await send(admin, aFile('x'.repeat(500)))).status, 202);
    assert.equal((await send(admin, aFile('x'.repeat(1000)))).status, 413);
    assert.equal((await files()).length, 1);
  });

  it('an upload that cannot be enqueued leaves no file', async (t) => {
    const queue = createQueue({ definitions: taskDefinitions });
    const { admin, send, files, jobs } = await mustServe(t, {
      queue: {
        ...queue,
        async enqueue(sql, task, payload, options) {
          await queue.enqueue(sql, task, payload, options);
          throw new AppError('database_unavailable', 'It has just gone.');
        },
      },
    });
    assert.equal((await send(admin, aFile())).status, 503);
    assert.deepEqual([await files(), await jobs()], [[], 0]);
  });

  it('uploads are limited to twenty per minute', async (t) => {
    const { admin, send } = await mustServe(t);
    const answers = await Promise.all(Array.from({ length: 21 }, () => send(admin, aFile())));
    assert.deepEqual(
      answers.map(({ status }) => status).filter((status) => status !== 202),
      [429],
    );
  });
});

it('an upload older than the jobs that are kept is deleted by its retention rule, and a recent one is kept', async (t) => {
  const dataDir = await mustMakeFolder(t);
  const { settings } = loadSettings({
    env: { APP_ENVIRONMENT: 'test', SECURITY_JWT_SECRET: testSecret, APP_DATA_DIR: dataDir },
    envFile: null,
  });
  await mkdir(join(dataDir, 'uploads'));
  for (const days of [1, 31]) {
    const file = join(dataDir, 'uploads', String(days));
    await writeFile(file, '');
    await utimes(file, new Date(), new Date(Date.now() - days * 86_400_000));
  }
  const [rule] = uploads.retentionRules({ settings, database: mustConnect(t, {}) });
  assert.equal(await rule?.deleteBatch(10), 1);
  assert.equal(await rule?.deleteBatch(10), 0);
});
