/** Tests of the jobs dashboard on the management port of a started program, with real jobs. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createApiClient } from '../helpers/api-client.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustFindJobsProcess, mustMakeJobFixture } from '../helpers/job-fixture.ts';
import { managementToken } from '../helpers/jobs-pages.ts';
import { startProgram } from '../helpers/program.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustSignIn } from '../helpers/test-api.ts';

for (const workers of ['1', '2']) {
  describe(`the jobs dashboard with ${workers} workers`, () => {
    test('the dashboard shows the job of a mail that the API has requested, from its start to its end', async (t) => {
      const { env, acceptMails } = await mustMakeJobFixture(t);
      const program = startProgram(t, { ...env, APP_WORKERS: workers });
      const pid = await mustFindJobsProcess(program);
      const pages = createApiClient(await program.management);
      const page = await pages.get('/jobs');
      assert.equal(page.status, 200);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
      assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
      const parts = Array.from(
        page.text.matchAll(/(?:src|href)="(\/jobs\/[^"]+\.(?:js|css))"/g),
        ([, path]) => path,
      );
      assert.ok(parts.length > 1);
      for (const path of parts) assert.equal((await pages.get(path ?? '')).status, 200, path);

      const ada = await mustSignIn(createApiClient(await program.ready), 'ada');
      const asked = await ada.post(`/api/v1/users/${ada.user.id}/welcome`, undefined);
      assert.equal(asked.status, 202);
      const path = `/jobs/data/jobs/${asked.body.task_id}`;
      const jobIs = async (state: string) => (await pages.get(path)).body.job?.state === state;
      await eventually('the job runs', () => jobIs('running'));
      const overview = await pages.get('/jobs/data/overview');
      assert.equal(overview.status, 200, overview.text);
      // Repeated, because a read can be rejected while the database is slow.
      await eventually('the overview has the job and its runner', async () => {
        const { runners, active } = (await pages.get('/jobs/data/overview')).body;
        const isThere = active?.some(
          ({ task, state, jobs }: Record<string, unknown>) =>
            task === 'send_email' && state === 'running' && jobs === 1,
        );
        return isThere && runners.length === 1 && runners[0].pid === pid;
      });
      acceptMails();
      await eventually('the job is completed', () => jobIs('completed'));
      const { body } = await pages.get('/jobs/data/jobs?state=completed&task=send_email');
      assert.deepEqual(
        body.jobs.map(({ id }: { id: number }) => id),
        [asked.body.task_id],
      );
      await eventually('the statistics of the minute have the job', async () => {
        const { minutes } = (await pages.get('/jobs/data/overview')).body;
        return minutes?.some(({ completed }: { completed: number }) => completed === 1);
      });
    });

    test('only a client with the token can retry a failed job', async (t) => {
      const { env, acceptMails, database } = await mustMakeJobFixture(t);
      acceptMails();
      const id = await mustStoreJob(database.sql, {
        ...{ state: 'failed', queue: 'mails' },
        payload: { to: 'ada@example.org', subject: 'Hello', body: 'Hello.' },
      });
      const program = startProgram(t, {
        ...env,
        APP_WORKERS: workers,
        APP_MANAGEMENT_TOKEN: managementToken,
      });
      await program.logged(/"job_process":1,.*"event":"process.ready"/);
      const anonymous = createApiClient(await program.management);
      const operator = anonymous.withHeaders({ authorization: `Bearer ${managementToken}` });
      const path = `/jobs/data/jobs/${id}`;
      assert.equal((await anonymous.post(`${path}/retry`, undefined)).status, 401);
      assert.equal((await operator.get(path)).body.job.state, 'failed');
      assert.equal((await operator.post(`${path}/retry`, undefined)).status, 204);
      await eventually(
        'the job is completed',
        async () => (await operator.get(path)).body.job.state === 'completed',
      );
      assert.equal((await operator.post(`${path}/retry`, undefined)).status, 409);
      await program.logged(new RegExp(`"action":"retry","job_id":${id},.*"event":"job.changed_by_hand"`));
    });
  });
}
