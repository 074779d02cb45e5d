/** Tests the alerts on the first page of the management port in a real browser. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { FiringAlert } from '../../src/alerts/alert-evaluator.ts';
import { mustLaunch, watchPage } from '../helpers/browser.ts';
import { mustOpenJobsPages, managementToken as token } from '../helpers/jobs-pages.ts';

const browser = await mustLaunch({ after });

const alert: FiringAlert = {
  rule: 'auth_failures',
  severity: 'ticket',
  summary: '60 logins or credentials were <b>rejected</b> within 300 s.',
  since: new Date('2026-01-01T00:00:00Z'),
  value: 60,
  threshold: 50,
  runbook: 'https://docs.example.com/runbooks#strataauthfailures',
};

test('the first page shows the firing alerts with their runbook, and no section while alerting is off', async (t) => {
  let firing: readonly FiringAlert[] | undefined = [alert];
  const pages = await mustOpenJobsPages(t, { database: null, alerts: () => firing });
  const page = await browser.newPage();
  t.after(() => page.close());
  const { complaints, foreign } = watchPage(page, pages.url);
  await page.goto(pages.url);
  const row = page.locator('#alerts-list tr');
  await row.waitFor();
  assert.match(
    await row.innerText(),
    /auth_failures\s+ticket\s+60 logins or credentials were <b>rejected<\/b> within 300 s\./,
  );
  assert.equal(await row.getByRole('link', { name: 'Runbook' }).getAttribute('href'), alert.runbook);
  firing = [];
  await page.reload();
  await page.getByText('No alert is firing.').waitFor();
  firing = undefined;
  const asked = page.waitForResponse(`${pages.url}/alerts`);
  await page.reload();
  await (await asked).finished();
  assert.equal(await page.locator('#alerts').isVisible(), false);
  assert.deepEqual([complaints, foreign], [[], []]);
});

test('the first page asks for the token once, and shows the alerts with it', async (t) => {
  const pages = await mustOpenJobsPages(t, { database: null, token, alerts: () => [alert] });
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(pages.url);
  await page.getByText('Enter the token on the page of jobs').waitFor();
  assert.equal(pages.log.of('auth.credentials.refused').length, 1);
  await page.goto(`${pages.url}/#token=${token}`);
  await page.reload();
  await page.locator('#alerts-list tr').waitFor();
});
