/**
 * Tests of the docs page in a real browser: Chromium, from the path in `CHROMIUM` or the path of Debian. The page works under
 * its content security policy, and Authorize signs in.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { createApiClient } from '../helpers/api-client.ts';
import { mustLaunch, watchPage } from '../helpers/browser.ts';
import { mustRegister, testPassword } from '../helpers/test-api.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

/** Opens the docs page of an application with one user, and records the errors of the browser. */
async function mustOpenDocs(t: TestContext) {
  const app = await mustStartApp(t, {
    databaseUrl: await mustCreateDatabase(t),
    env: { APP_ENVIRONMENT: 'local' },
  });
  const user = await mustRegister(createApiClient(app.url), 'ada_lovelace');
  const page = await (await mustLaunch(t)).newPage();
  page.setDefaultTimeout(30_000);
  const { complaints, foreign } = watchPage(page, app.url);
  await page.goto(`${app.url}/docs`);
  await page.locator('.opblock').first().waitFor();
  return { page, user, complaints, foreign };
}

/** Sends an operation with "Try it out", and returns the status and the body that the page shows. */
async function tryOut(page: Page, operationId: string): Promise<{ status: string; body: string }> {
  const operation = page.locator(`.opblock[id$="-${operationId}"]`);
  if ((await operation.locator('.execute').count()) === 0) {
    await operation.locator('.opblock-summary-control').click();
    await operation.locator('.try-out__btn').click();
  }
  const answered = page.waitForResponse((response) => response.request().method() !== 'OPTIONS');
  await operation.locator('.execute').click();
  await answered;
  const live = operation.locator('.live-responses-table .response');
  await live.locator('.response-col_status').waitFor();
  return {
    status: (await live.locator('.response-col_status').innerText()).trim(),
    body: await live.locator('.highlight-code pre').innerText(),
  };
}

/** Opens the dialog of the Authorize button, and returns its password form. */
async function openAuthorize(page: Page): Promise<Locator> {
  await page.locator('.scheme-container .btn.authorize').click();
  return page.locator('.auth-container', { has: page.locator('h4', { hasText: 'OAuth2, password' }) });
}

test('after Authorize with a password, a call that was rejected before is answered', async (t) => {
  const { page, user, complaints, foreign } = await mustOpenDocs(t);

  assert.equal((await tryOut(page, 'getCurrentUser')).status, '401');
  const rejections = complaints.splice(0);
  assert.equal(rejections.length, 1, 'the browser notes the 401 itself, and nothing else');

  const form = await openAuthorize(page);
  await form.locator('#oauth_username').fill('ada_lovelace');
  await form.locator('#oauth_password').fill(testPassword);
  await form.locator('.btn.authorize').click();
  await form.getByText('Logout').waitFor();
  await form.getByText('Close').click();

  const me = await tryOut(page, 'getCurrentUser');
  assert.equal(me.status, '200');
  assert.equal(JSON.parse(me.body).id, user.id);

  assert.deepEqual(complaints, [], 'the policy of the page is in nothing’s way');
  assert.deepEqual(foreign, [], 'everything comes from this server');
});

test('a wrong password is shown as rejected, and does not sign in', async (t) => {
  const { page } = await mustOpenDocs(t);
  const form = await openAuthorize(page);
  await form.locator('#oauth_username').fill('ada_lovelace');
  await form.locator('#oauth_password').fill(`not ${testPassword}`);
  await form.locator('.btn.authorize').click();
  await form.locator('.errors').waitFor();
  await form.getByText('Close').click();
  assert.equal((await tryOut(page, 'getCurrentUser')).status, '401');
});

test('an API key is sent in its header', async (t) => {
  const { page } = await mustOpenDocs(t);
  await openAuthorize(page);
  const form = page.locator('.auth-container', { has: page.locator('h4', { hasText: 'apiKey' }) });
  await form.locator('input').fill('sak_mistyped');
  await form.locator('.btn.authorize').click();
  await form.getByText('Close').click();
  const sent = page.waitForRequest((request) => request.url().endsWith('/users/me'));
  assert.equal((await tryOut(page, 'getCurrentUser')).status, '401');
  assert.equal((await sent).headers()['x-api-key'], 'sak_mistyped');
});
