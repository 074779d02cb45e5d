import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createManagementServer } from '../../../src/management/server.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { request } from '../../helpers/http-client.ts';
import { mustOpenJobsPages } from '../../helpers/jobs-pages.ts';

for (const path of ['/jobs', '/jobs/17']) {
  test(`${path} is a page with a policy that allows only files of this server, even without a database`, async (t) => {
    const { page } = await mustOpenJobsPages(t, { database: null });
    const answer = await page(path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    const policy = String(answer.headers['content-security-policy']);
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  });

  test(`all resources of ${path} exist on this server`, async (t) => {
    const { page } = await mustOpenJobsPages(t, { database: null });
    const { text } = await page(path);
    const links = Array.from(text.matchAll(/(?:src|href)="([^"#]+)"/g), ([, link = '']) => link);
    assert.ok(links.length >= 5);
    for (const link of links) assert.equal((await page(link)).status, 200, link);
    assert.doesNotMatch(text, /<script>|style=|\son\w+=/, 'nothing is inline');
  });
}

test('the scripts import only each other', async (t) => {
  const { page } = await mustOpenJobsPages(t, { database: null });
  const seen = new Set<string>();
  const visit = async (name: string): Promise<void> => {
    if (seen.has(name)) return;
    seen.add(name);
    const answer = await page(`/jobs/assets/${name}`);
    assert.equal(answer.status, 200, name);
    assert.equal(answer.headers['content-type'], 'text/javascript; charset=utf-8');
    for (const [, from = ''] of answer.text.matchAll(/^import .*from '([^']+)'/gm)) {
      assert.match(from, /^\.\/[a-z]+\.js$/);
      await visit(from.slice(2));
    }
  };
  await visit('jobs.js');
  await visit('job.js');
  assert.ok(seen.size > 8);
});

test('a name that is no file of the dashboard is not found', async (t) => {
  const { page } = await mustOpenJobsPages(t, { database: null });
  for (const name of ['tsconfig.json', 'nothing.js', '..%2fpackage.json', '__proto__']) {
    const { status } = await page(`/jobs/assets/${name}`);
    assert.ok(status === 404 || status === 400, name);
  }
  assert.equal((await page('/jobs/not-a-number')).status, 422);
});

test('a management server without jobs has no dashboard', async (t) => {
  const server = createManagementServer({
    fleet: {
      reports: () => [],
      readiness: async () => ({ ready: true, detail: 'All is well.' }),
      collectMetrics: async () => createMetrics().snapshot(),
    },
    log: captureLog().log,
    token: '',
    host: '127.0.0.1',
    allowedHosts: [],
  });
  t.after(() => server.close());
  const port = await server.listen(0, '127.0.0.1');
  assert.equal((await request(port, { path: '/jobs' })).status, 404);
});
