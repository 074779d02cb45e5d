import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createBanRegistry } from '../../src/bans/ban-registry.ts';
import { createExemptClients } from '../../src/bans/exempt-clients.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { createManagementServer } from '../../src/management/server.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { mustLaunch, watchPage } from '../helpers/browser.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { pageErrors } from '../helpers/page-errors.ts';

const browser = await mustLaunch({ after });
const token = 'correct-horse-battery';

const policy = {
  ...{ violations: 3, failures: 2, windowMs: 60_000, firstMs: 600_000 },
  ...{ growth: 2, maxMs: 86_400_000, forgetMs: 604_800_000 },
};

test('an operator sees the bans in a browser, bans a client with hostile text as text, and lifts bans', async (t) => {
  const { log } = captureLog();
  const bans = createBanRegistry({
    rules: { policy, exempt: createExemptClients([]) },
    ...{ log, metrics: createMetrics(), now: () => performance.now() },
  });
  for (let last = 1; last <= 60; last += 1) {
    bans.report([{ client: `203.0.113.${last}`, violations: 3, failures: [] }]);
  }
  const server = createManagementServer({
    fleet: {
      reports: () => [],
      readiness: async () => ({ ready: true, detail: 'All is well.' }),
      collectMetrics: async () => createMetrics().snapshot(),
    },
    ...{ log, token, bans, host: '127.0.0.1', allowedHosts: [] },
    jobs: { source: { database: () => null, queue: createQueue({ definitions: [] }) }, loopback: true },
  });
  const port = await server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const origin = `http://127.0.0.1:${port}`;
  const { complaints, foreign } = watchPage(page, origin);
  const status = page.locator('#bans-status');

  await page.goto(`${origin}/`);
  await status.filter({ hasText: 'Enter the token' }).waitFor();
  await page.getByLabel('Management token').fill(token);
  await page.getByRole('button', { name: 'Use token' }).click();
  await status.filter({ hasText: '60 clients are banned.' }).waitFor();
  assert.equal(await page.locator('#bans tr').count(), 50);
  await page.getByRole('button', { name: 'Older' }).click();
  await page.getByRole('rowheader', { name: '203.0.113.1', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Newest' }).click();
  await page.getByRole('rowheader', { name: '203.0.113.60' }).waitFor();

  const hostile = '<img src=x onerror=alert(1)>';
  await page.getByLabel('Address').fill('2001:db8::7');
  await page.getByLabel('Minutes').fill('30');
  await page.getByLabel('Reason').fill(hostile);
  await page.getByRole('button', { name: 'Ban', exact: true }).click();
  await page.getByRole('rowheader', { name: '2001:db8:0:0::/64' }).waitFor();
  await page.getByRole('cell', { name: hostile }).waitFor();
  assert.equal(bans.find('2001:db8:0:0::/64')?.note, hostile);
  assert.deepEqual(await pageErrors(page), []);

  await page.getByRole('button', { name: 'Lift the ban of 2001:db8:0:0::/64' }).click();
  await eventually('the ban is lifted', () => bans.find('2001:db8:0:0::/64') === undefined);
  await page.getByLabel('Address').fill('10.0.0.1');
  await page.getByRole('button', { name: 'Ban', exact: true }).click();
  await status.filter({ hasText: '10.0.0.1 is never banned' }).waitFor();
  if (process.env.SCREENSHOT !== undefined)
    await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
  assert.deepEqual(foreign, []);
  // The browser reports the answers 401 and 409 as errors.
  assert.deepEqual(
    complaints.filter((each) => !/status of (401|409)/.test(each)),
    [],
  );
});
