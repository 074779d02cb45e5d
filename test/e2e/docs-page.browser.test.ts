/**
 * Tests of the docs page in a real browser: Chromium, from the path in `CHROMIUM` or the path of Debian. The page works under
 * its content security policy, Authorize signs in, and the page fits a phone and follows the dark scheme.
 */

import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { createApiClient } from '../helpers/api-client.ts';
import { mustLaunch, watchPage } from '../helpers/browser.ts';
import { contrastErrors, widthErrors } from '../helpers/page-errors.ts';
import { mustRegister, testPassword } from '../helpers/test-api.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const browser = await mustLaunch({ after });

/** Opens the docs page of an application with one user, and records the errors of the browser. */
async function mustOpenDocs(t: TestContext, options: BrowserContextOptions = {}) {
  const app = await mustStartApp(t, {
    databaseUrl: await mustCreateDatabase(t),
    env: { APP_ENVIRONMENT: 'local' },
  });
  const user = await mustRegister(createApiClient(app.url), 'ada_lovelace');
  const context = await browser.newContext(options);
  t.after(() => context.close());
  const page = await context.newPage();
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

test('Authorize opens at the password form, with the focus in its first field', async (t) => {
  const { page, complaints } = await mustOpenDocs(t, { viewport: { width: 390, height: 844 } });
  await openAuthorize(page);
  const titles = await page.locator('.auth-container h4').allInnerTexts();
  assert.match(titles[0] ?? '', /^password \(OAuth2, password\)/);
  assert.equal(titles.length, 3);
  assert.equal(await page.locator('#oauth_username').evaluate((field) => field.matches(':focus')), true);
  const form = await page.locator('#oauth_username').boundingBox();
  assert.ok(form !== null && form.y > 0 && form.y + form.height < 844, 'the field is on the screen');
  assert.deepEqual(complaints, []);
});

for (const colorScheme of ['light', 'dark'] as const) {
  test(`on a phone, ${colorScheme}, the page never scrolls sideways, and in the dark its text has enough contrast`, async (t) => {
    const { page } = await mustOpenDocs(t, { colorScheme, viewport: { width: 390, height: 844 } });
    await tryOut(page, 'login');
    await tryOut(page, 'listUsers');
    assert.deepEqual(await widthErrors(page), []);
    const isDark = colorScheme === 'dark';
    assert.equal(await page.locator('html.dark-mode').count(), isDark ? 1 : 0);
    if (isDark) assert.deepEqual(await contrastErrors(page), []);
    await openAuthorize(page);
    assert.deepEqual(await widthErrors(page), []);
    // The dialog covers the page, whose text it dims.
    await page.locator('.scheme-container ~ *, .information-container').evaluateAll((parts) => {
      for (const part of parts) part.remove();
    });
    if (isDark) assert.deepEqual(await contrastErrors(page), []);
    await page.emulateMedia({ colorScheme: isDark ? 'light' : 'dark' });
    await page.locator(isDark ? 'html:not(.dark-mode)' : 'html.dark-mode').waitFor({ state: 'attached' });
  });
}
