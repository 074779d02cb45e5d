/**
 * Tests of the jobs dashboard in a real browser: it updates itself, works under its content security policy, shows hostile
 * text as text, and is usable with a keyboard, on a phone, in both themes, and with enough contrast.
 */

import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import type { BrowserContextOptions, Page } from 'playwright-core';
import postgres from 'postgres';
import type { Sql } from '../../src/db/sql.ts';
import { lockClass } from '../../src/jobs/runner/runner-store.ts';
import { mustLaunch, watchPage } from '../helpers/browser.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustOpenJobsPages, managementToken as token } from '../helpers/jobs-pages.ts';
import { pageErrors } from '../helpers/page-errors.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const browser = await mustLaunch({ after });

/** Opens a management port with a database of its own, and a browser page. */
async function mustOpen(
  t: TestContext,
  options: BrowserContextOptions & { token?: string; loopback?: boolean; localToken?: string } = {},
) {
  const database = await mustOpenTestDatabase(t);
  const { localToken } = options;
  const pages = await mustOpenJobsPages(t, {
    ...{ database, token: options.token ?? '', loopback: options.loopback ?? true },
    ...(localToken === undefined ? {} : { localToken }),
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const watched = watchPage(page, pages.url);
  const open = async (path: string) => {
    await page.goto(`${pages.url}${path}`);
    await page.locator('#status[data-state="live"]').waitFor();
  };
  return { ...watched, sql: database.sql, url: database.url, page, pages, open };
}

async function enterToken(page: Page, value: string): Promise<void> {
  await page.getByRole('button', { name: 'Token' }).click();
  await page.getByLabel('Token', { exact: true }).fill(value);
  await page.getByRole('button', { name: 'Use token' }).click();
}

/** Returns the requests that the page sends within a time. The browser waits, since it is its timer that would send them. */
async function requestsIn(page: Page, ms: number): Promise<string[]> {
  const asked: string[] = [];
  const record = (request: { url(): string }) => void asked.push(request.url());
  page.on('request', record);
  await page.evaluate((wait) => new Promise((resolve) => setTimeout(resolve, wait)), ms);
  page.off('request', record);
  return asked;
}

/** Connects a runner until the end of the test. */
async function mustConnectRunner(t: TestContext, url: string): Promise<void> {
  const session = postgres(url, { max: 1 });
  t.after(() => session.end());
  await session`insert into job_runners (id, host, pid, version, threads) values (7, 'here', 4711, '0.1.0', 4)`;
  await session`select pg_advisory_lock(${lockClass}::integer, 7)`;
}

/** Stores ten thousand jobs of the last hour, most of them completed. */
async function storeMany(sql: Sql): Promise<void> {
  await sql`
    insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, errors, run_at,
      started_at, finished_at)
    select 'send_email', 'mail', state, 100, '{}', 1, 10, 60000,
      case state when 'failed' then '[{"attempt":1,"at":"2026-01-31T12:00:00Z","code":"threw","message":"away"}]'::jsonb
        else '[]' end,
      at, at + interval '5 milliseconds', at + interval '80 milliseconds'
    from generate_series(1, 10000) as number,
      lateral (select now() - number * interval '350 milliseconds' as at,
        case when number % 50 = 0 then 'failed' else 'completed' end as state) as each`;
}

test('the page shows ten thousand jobs and their updates, under its policy and with resources of this server only', async (t) => {
  const { sql, page, open, complaints, foreign } = await mustOpen(t);
  await storeMany(sql);
  await open('/jobs');
  await page.getByRole('link', { name: '9,800 completed' }).waitFor();
  assert.equal(await page.locator('#jobs tr').count(), 50);
  await eventually('a bar for each minute', async () => {
    return (await page.locator('#throughput rect.completed').count()) > 55;
  });
  assert.ok((await page.locator('#wait path.line.p95').getAttribute('d'))?.includes('L'));

  const id = await mustStoreJob(sql, { state: 'running', name: 'count_words', progress: 0.25 });
  const added = page.locator('#jobs tr', { hasText: `#${id}` });
  await added.getByText('25 %').waitFor();
  await sql`update jobs set progress = 0.75, progress_message = 'Line 750' where id = ${id}`;
  await added.getByText('75 % Line 750').waitFor();

  assert.deepEqual(complaints, [], 'no resource violates the policy');
  assert.deepEqual(foreign, [], 'all resources come from this server');
});

test('the page of a job shows its start and its end without a reload', async (t) => {
  const { sql, page, open, complaints } = await mustOpen(t);
  const id = await mustStoreJob(sql, { state: 'running', requestId: '8c1f-aa', payload: { user: 7 } });
  await open(`/jobs/${id}`);
  await page.getByText('Attempt 1 started').waitFor();
  assert.match(await page.locator('#payload').innerText(), /"user": 7/);
  assert.match(
    await page.locator('#log').innerText(),
    new RegExp(`"job_id":${id}[^]*"request_id":"8c1f-aa"`),
  );
  await sql`update jobs set state = 'completed', runner = null, finished_at = now(), result = '{"sent":1}'`;
  await page.getByText('Attempt 1 completed').waitFor();
  assert.match(await page.locator('#result').innerText(), /"sent": 1/);
  assert.equal(await page.title(), `send_email #${id}: completed`);
  assert.deepEqual(complaints, []);
});

test('hostile text in a job stays text on both pages', async (t) => {
  const { sql, page, open, complaints } = await mustOpen(t);
  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  const jobError = {
    attempt: 1,
    at: hostile,
    code: 'threw',
    message: hostile,
    stack: hostile,
    details: hostile,
  };
  const id = await mustStoreJob(sql, {
    state: 'failed',
    ...{ name: hostile, queue: hostile, requestId: hostile, uniqueKey: hostile, progressMessage: hostile },
    payload: { [hostile]: hostile },
    errors: [{ ...jobError, code: 'threw' }],
  });
  for (const path of ['/jobs', `/jobs/${id}`]) {
    await open(path);
    await page.getByText('<img src=x').first().waitFor();
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.doesNotMatch(await page.title(), /^owned/);
  }
  assert.deepEqual(complaints, []);
});

test('without a configured token the pages are read-only and offer no changes', async (t) => {
  const { sql, page, open } = await mustOpen(t);
  const id = await mustStoreJob(sql, { state: 'failed' });
  await open('/jobs?state=failed');
  await page.getByText('Read-only: to retry, run, cancel or pause, set APP_MANAGEMENT_TOKEN').waitFor();
  for (const name of ['Pause the queue', 'Retry'])
    assert.equal(await page.getByRole('button', { name }).count(), 0);
  await open(`/jobs/${id}`);
  assert.equal(await page.getByRole('button', { name: 'Retry' }).count(), 0);
});

test('an operator who entered the token can pause, resume, retry and cancel', async (t) => {
  const { sql, page, open } = await mustOpen(t, { token });
  const stateOf = async (id: number) => (await sql`select state from jobs where id = ${id}`)[0]?.state;
  const failed = await mustStoreJob(sql, { state: 'failed', queue: 'mail', payload: { secret: 'tea' } });
  await sql`update jobs set created_at = now() - interval '4 minutes'`;
  await open(`/jobs/${failed}`);
  assert.doesNotMatch(await page.locator('main').innerText(), /tea/);
  await enterToken(page, token);
  await page.getByText('tea').waitFor();
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.locator('#summary').getByText('available').waitFor();
  assert.equal(await stateOf(failed), 'available');
  await page.locator('#history').getByText('Retried by an operator').waitFor();
  const history = await page.locator('#history li strong').allInnerTexts();
  assert.deepEqual(history, ['Enqueued', 'Attempt 1 failed', 'Retried by an operator']);
  assert.doesNotMatch(await page.locator('#history').innerText(), /due/);
  await page.getByRole('button', { name: 'Cancel…' }).click();
  await page.getByRole('button', { name: 'Cancel the job' }).click();
  await page.locator('#summary').getByText('cancelled').waitFor();

  for (let each = 0; each < 3; each += 1) await mustStoreJob(sql, { state: 'failed', queue: 'mail' });
  const rejection = { attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'refused', message: 'No.' } as const;
  const refused = await mustStoreJob(sql, { state: 'failed', queue: 'mail', errors: [rejection] });
  await open('/jobs?state=failed');
  await page.getByRole('button', { name: 'Pause the queue mail' }).click();
  await page.getByRole('button', { name: 'Resume the queue mail' }).waitFor();
  assert.equal((await sql`select from job_queues where paused_at is not null`).length, 1);
  await page.getByRole('button', { name: 'Resume the queue mail' }).click();
  await page.getByRole('button', { name: 'Pause the queue mail' }).waitFor();
  await page.getByRole('button', { name: 'Retry all failed…' }).click();
  await page.getByText('Retry the failed jobs (3)?').waitFor();
  await page.getByRole('button', { name: 'Retry jobs' }).click();
  await page.getByText('3 failed jobs are available again.').waitFor();
  await eventually('only the rejected job is left', async () => {
    return (await page.locator('#jobs tr').allInnerTexts()).join().includes(`#${refused}`);
  });
  await page.getByRole('button', { name: 'Retry all failed…' }).click();
  await page.getByText('All of them were rejected permanently').waitFor();
  assert.equal(await stateOf(refused), 'failed');
  assert.equal((await sql`select from jobs where state = 'available'`).length, 3);
});

test('on a port that other machines reach, the page asks for the token before it shows data', async (t) => {
  const { sql, page, pages } = await mustOpen(t, { token, loopback: false });
  const id = await mustStoreJob(sql, { state: 'completed' });
  await page.goto(`${pages.url}/jobs`);
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.keyboard.press('Enter');
  await page.getByText(`#${id}`).waitFor();
  await page.locator('#status[data-state="live"]').waitFor();
});

test('after a wrong token the page shows the reason, asks again, and sends no requests until there is another token', async (t) => {
  const { page, open } = await mustOpen(t, { token });
  await open('/jobs');
  await enterToken(page, 'this-is-not-the-token');
  await page.locator('#token-error', { hasText: 'The token is not the management token.' }).waitFor();
  assert.equal(await page.locator('#status').innerText(), 'Not authorised');
  assert.match(await page.locator('#notice').innerText(), /Updates stop until you enter another one/);
  assert.deepEqual(await requestsIn(page, 4_500), [], 'longer than the delay after an error');
  await page.getByRole('button', { name: 'Forget token' }).click();
  await page.locator('#status[data-state="live"]').waitFor();
});

test('while the server does not answer, the page shows that, keeps its data, and continues afterwards', async (t) => {
  const { sql, page, open } = await mustOpen(t);
  const id = await mustStoreJob(sql, { state: 'completed' });
  await open('/jobs');
  await page.getByText(`#${id}`).waitFor();
  await page.context().setOffline(true);
  await page.locator('#status', { hasText: 'Disconnected, retrying' }).waitFor();
  assert.match(
    await page.locator('#notice').innerText(),
    /^The server does not answer\. The page shows the data of \d\d:\d\d:\d\d\.$/,
  );
  assert.equal(await page.getByText(`#${id}`).count(), 1);
  await page.context().setOffline(false);
  await page.locator('#status', { hasText: 'Live' }).waitFor();
});

test('a paused page sends no requests', async (t) => {
  const { page, open } = await mustOpen(t);
  await open('/jobs');
  await page.getByRole('button', { name: 'Pause updates' }).click();
  await page.locator('#status', { hasText: 'Paused' }).waitFor();
  assert.deepEqual(await requestsIn(page, 2_500), [], 'longer than the interval of the polling');
  await page.getByRole('button', { name: 'Pause updates' }).click();
  await page.locator('#status', { hasText: 'Live' }).waitFor();
});

test('all functions are available with the keyboard alone', async (t) => {
  const { sql, page, open } = await mustOpen(t);
  await mustStoreJob(sql, { state: 'completed' });
  const failed = await mustStoreJob(sql, { state: 'failed', name: 'count_words' });
  await mustStoreJob(sql, { state: 'failed', name: 'count_words' });
  await open('/jobs');
  const focused = async () => {
    const active = page.locator(':focus');
    if ((await active.count()) === 0) return '';
    return (await active.getAttribute('aria-label')) ?? (await active.innerText()).trim();
  };
  const tabTo = async (wanted: RegExp) => {
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab');
      if (!wanted.test(await focused())) continue;
      const outlines = await page.evaluate(
        `[getComputedStyle(document.activeElement), getComputedStyle(document.activeElement, '::after')]
          .map(({ outlineStyle }) => outlineStyle).join(' ')`,
      );
      assert.match(String(outlines), /solid/, `the focus on ${wanted} is visible`);
      return;
    }
    assert.fail(`Tab does not reach ${wanted}; the focus is on ${await focused()}.`);
  };

  await tabTo(/^Skip to the content$/);
  await tabTo(/^Theme/);
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'light');
  await tabTo(/^Finished per minute/);
  const slider = page.getByRole('slider', { name: /^Finished per minute/ });
  const before = await slider.getAttribute('aria-valuetext');
  await page.keyboard.press('ArrowLeft');
  assert.notEqual(await slider.getAttribute('aria-valuetext'), before);
  await page.keyboard.press('Home');
  assert.equal(await slider.getAttribute('aria-valuenow'), '0');
  await tabTo(/^As a table$/);
  await page.keyboard.press('Enter');
  await page.locator('#throughput tbody tr').nth(59).waitFor();

  await page.locator('#filter-state').focus();
  await page.keyboard.type('failed');
  await eventually('the address has the filter', () => page.url().endsWith('?state=failed'));
  await page.locator('#jobs tr').nth(1).waitFor();
  await eventually('only failed jobs are listed', async () => (await page.locator('#jobs tr').count()) === 2);
  await tabTo(/^count_words/);
  await page.keyboard.press('ArrowDown');
  assert.equal(await focused(), `count_words #${failed}`);
  // An update creates the rows again, and the focus stays on its row.
  await mustStoreJob(sql, { state: 'failed', name: 'build_index' });
  await page.getByText('build_index').first().waitFor();
  assert.equal(await focused(), `count_words #${failed}`);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: `count_words #${failed}` }).waitFor();
  await page.goBack();
  await page.locator('#status[data-state="live"]').waitFor();
  assert.equal(await page.locator('#filter-state').inputValue(), 'failed');
});

test('a filter is part of the address, and the back button removes it', async (t) => {
  const { sql, page, open } = await mustOpen(t);
  await mustStoreJob(sql, { state: 'failed' });
  await mustStoreJob(sql, { state: 'completed' });
  await open('/jobs');
  await page.getByRole('link', { name: '1 failed' }).click();
  await eventually('one job is listed', async () => (await page.locator('#jobs tr').count()) === 1);
  assert.match(page.url(), /\/jobs\?state=failed$/);
  await page.goBack();
  await eventually('both are listed', async () => (await page.locator('#jobs tr').count()) === 2);
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [screen, viewport] of [
    ['a desktop screen', { width: 1280, height: 900 }],
    ['a phone screen', { width: 390, height: 844 }],
  ] as const) {
    test(`on ${screen}, ${colorScheme}, text has enough contrast, controls have names, and no content overflows`, async (t) => {
      const { sql, page, open } = await mustOpen(t, { colorScheme, viewport, token });
      await sql`insert into job_runners (id, host, pid, version, threads) values (1, 'here', 4711, '0.1.0', 4)`;
      const error = { attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'threw', message: 'away' } as const;
      await mustStoreJob(sql, { state: 'scheduled', errors: [error] });
      await sql`
        insert into job_schedules (name, cron, time_zone, last_tick) values
          ('daily_report', '0 6 * * *', 'UTC', now()), ('weekly_digest', '30 7 * * 1', 'Europe/Berlin', now())`;
      for (const state of [
        'available',
        'running',
        'scheduled',
        'completed',
        'failed',
        'cancelled',
      ] as const) {
        await mustStoreJob(sql, { state, progress: 0.5 });
      }
      const failed = await mustStoreJob(sql, { state: 'failed', payload: { text: 'x'.repeat(5_000) } });
      await open('/jobs');
      await enterToken(page, token);
      await page.getByRole('button', { name: 'Pause the queue default' }).waitFor();
      await page.getByRole('columnheader', { name: 'Scheduled' }).waitFor();
      const inside = await page
        .locator('.scroll:has(#queues), .scroll:has(#schedules)')
        .evaluateAll((parts) => parts.every(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth));
      assert.ok(inside, 'no table hides a column');
      assert.deepEqual(await pageErrors(page), []);
      assert.deepEqual(await seriesErrors(page), []);
      await open(`/jobs/${failed}`);
      await page.locator('#payload pre').waitFor();
      assert.deepEqual(await pageErrors(page), []);
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      assert.equal(ground, colorScheme === 'light' ? 'rgb(246, 245, 242)' : 'rgb(19, 21, 25)');
    });
  }
}

/** Colours of the percentiles that a reader could mistake for a state, or for one another. */
async function seriesErrors(page: Page): Promise<string[]> {
  const errors: unknown = await page.evaluate(`(() => {
    const probe = document.createElement('i');
    document.body.append(probe);
    const colours = {};
    for (const name of ['p50', 'p95', 'available', 'running', 'scheduled', 'retrying', 'completed', 'failed', 'cancelled', 'surface']) {
      probe.style.color = 'var(--' + name + ')';
      colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    const light = (name) => {
      const [r, g, b] = colours[name].match(/\\d+/g).map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
      const [a, b] = [light(one), light(other)];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    };
    const errors = [];
    if (new Set(Object.values(colours)).size < 10) errors.push('Two colours are the same.');
    for (const name of Object.keys(colours).filter((name) => name !== 'surface')) {
      if (contrast(name, 'surface') < 3) errors.push(name + ' is too faint.');
    }
    if (contrast('p50', 'p95') < 2) errors.push('p50 and p95 differ by their hue only.');
    return errors;
  })()`);
  return Array.isArray(errors) ? errors.map(String) : [`The page gave ${String(errors)}.`];
}

const away = { attempt: 5, at: '2026-01-31T12:00:00.000Z', code: 'threw', message: 'Away.' } as const;

test('during an outage the retrying jobs have a tile, a filter and a count, and all of a queue run now', async (t) => {
  const { sql, page, open } = await mustOpen(t, { token });
  const runAt = new Date(Date.now() + 3_600_000);
  for (let each = 0; each < 3; each += 1)
    await mustStoreJob(sql, { state: 'scheduled', queue: 'mail', runAt, errors: [away] });
  const other = await mustStoreJob(sql, { state: 'scheduled', queue: 'exports', runAt, errors: [away] });
  await mustStoreJob(sql, { state: 'scheduled', queue: 'mail', runAt });
  await open(`/jobs#token=${token}`);
  await page.getByRole('link', { name: '1 scheduled' }).waitFor();
  await page.getByRole('link', { name: '4 retrying' }).click();
  await eventually('retrying jobs are listed', async () => (await page.locator('#jobs tr').count()) === 4);
  assert.match(page.url(), /\?state=retrying$/);
  await page.getByText('error Away.').first().waitFor();

  await page.getByRole('button', { name: 'Run retrying jobs of the queue mail now' }).click();
  await page.getByText('Run the retrying jobs of the queue mail (3) now?').waitFor();
  await page.getByRole('button', { name: 'Run jobs' }).click();
  await page.getByText('3 retrying jobs are available.').waitFor();
  await page.getByRole('link', { name: '1 retrying' }).waitFor();

  await open(`/jobs/${other}`);
  await page.locator('#summary').getByText('retrying').waitFor();
  await page.locator('#details').getByText('Next run').waitFor();
  await page.getByRole('button', { name: 'Run now' }).click();
  await page.locator('#summary').getByText('available').waitFor();
  await page.locator('#history').getByText('Retried by an operator').waitFor();
  assert.equal((await sql`select from jobs where state = 'available'`).length, 4);
});

test('an operator sees the last and the next run of a schedule, pauses it, resumes it and runs it', async (t) => {
  const { sql, page, open } = await mustOpen(t, { token, timezoneId: 'Europe/Berlin' });
  const job = await mustStoreJob(sql, { state: 'completed' });
  await sql`
    insert into job_schedules (name, cron, time_zone, last_tick, last_run_at, last_job)
    values ('daily_report', '0 6 * * *', 'UTC', now(), now() - interval '3 hours', ${job})`;
  await open(`/jobs#token=${token}`);
  const row = page.locator('#schedules tr', { hasText: 'daily_report' });
  await row.getByText('3 h ago').waitFor();
  await row.getByRole('link', { name: `#${job}` }).waitFor();
  assert.match(
    await row.locator('.next').innerText(),
    /in [\d.]+ (h|min|s)\n\d{4}-\d\d-\d\d 0[78]:00 UTC\+[12]/,
  );

  await page.getByRole('button', { name: 'Pause the schedule daily_report' }).click();
  await row.getByText('none: it is paused').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Run now: the schedule daily_report' }).count(), 0);
  await page.getByRole('button', { name: 'Resume the schedule daily_report' }).click();
  await page.getByRole('button', { name: 'Run now: the schedule daily_report' }).click();
  await row.getByText('requested: starts in a moment').waitFor();
  assert.equal((await sql`select from job_schedules where run_requested_at is not null`).length, 1);
});

test('a job that was cancelled while it waited for a retry has no run time', async (t) => {
  const { sql, page, open } = await mustOpen(t);
  const now = Date.now();
  await mustStoreJob(sql, {
    ...{ state: 'cancelled', errors: [away], startedAt: new Date(now - 1_200_000) },
    ...{ runAt: new Date(now - 60_000), finishedAt: new Date(now) },
  });
  const id = await mustStoreJob(sql, {
    ...{
      state: 'completed',
      startedAt: new Date(now - 400),
      runAt: new Date(now - 500),
      finishedAt: new Date(now),
    },
  });
  await open('/jobs');
  const timesOf = async (each: string) => {
    const cells = page.locator('#jobs tr', { hasText: each }).locator('td');
    return [await cells.nth(4).innerText(), await cells.nth(5).innerText()];
  };
  assert.deepEqual(await timesOf('cancelled'), ['', '']);
  assert.deepEqual(await timesOf(`#${id}`), ['100 ms', '400 ms']);
  await page.getByRole('slider', { name: /^Run time/ }).press('End');
  await eventually('the chart has the completed job only', async () => {
    await page.getByRole('slider', { name: /^Run time/ }).press('End');
    return /400 ms p50, 400 ms p95/.test(await page.locator('#run .readout').innerText());
  });
  const [radius] = await page
    .locator('#run circle')
    .evaluateAll((points) => points.map((point) => point.getAttribute('r')));
  assert.equal(radius, '4', 'a point without neighbours is large enough to see');
});

test('a warning at the top names what to do while no runner is connected, and disappears when a runner connects', async (t) => {
  const { url, page, open } = await mustOpen(t);
  await open('/jobs');
  const warning = page.locator('#warning');
  await warning.getByText('No runner is connected, so no job runs').waitFor();
  await mustConnectRunner(t, url);
  // The overview is cached for twenty times the duration of its read.
  await warning.waitFor({ state: 'hidden', timeout: 60_000 });
  await page.locator('#runners').getByText('#7').waitFor();
});

test('the page of a job that does not exist shows why, without empty panels or further requests', async (t) => {
  const { page, pages } = await mustOpen(t);
  await page.goto(`${pages.url}/jobs/4711`);
  await page.locator('#status', { hasText: 'Not found' }).waitFor();
  assert.equal(await page.locator('#notice').innerText(), 'There is no job 4711: it may have been pruned.');
  assert.equal(await page.title(), 'Job #4711: not found');
  assert.equal(await page.locator('#job').isVisible(), false);
  assert.deepEqual(await requestsIn(page, 2_500), []);
});

test('before there is data no chart has an axis, and the status is "Not authorised"', async (t) => {
  const { page, pages } = await mustOpen(t, { token, loopback: false, timezoneId: 'Asia/Kolkata' });
  await page.goto(`${pages.url}/jobs`);
  await page.getByRole('button', { name: 'Close' }).click();
  assert.equal(await page.locator('#status').innerText(), 'Not authorised');
  assert.match(await page.locator('#notice').innerText(), /requires the management token/);
  assert.equal(await page.locator('.plot svg').count(), 0);
  assert.deepEqual(new Set(await page.locator('.readout').allInnerTexts()), new Set(['No data yet.']));
  assert.equal(await page.locator('#zone').innerText(), 'Times are in Asia/Calcutta (UTC+05:30).');
});

test('the link of a local server gives the token to the page, and is removed from the address', async (t) => {
  const { sql, page, open } = await mustOpen(t, { localToken: token });
  const failed = await mustStoreJob(sql, { state: 'failed', payload: { cup: 'of tea' } });
  await open(`/jobs/${failed}`);
  await page.getByText('of tea').waitFor();
  await page.getByText('Read-only: to retry, run, cancel or pause, open the link').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Retry' }).count(), 0);

  await page.goto(`${page.url()}#token=${token}`);
  await page.getByRole('button', { name: 'Retry' }).waitFor();
  assert.doesNotMatch(page.url(), /token|#/);
  await open('/jobs');
  await page.getByRole('button', { name: 'Pause the queue default' }).waitFor();
  const stored = await page.evaluate('JSON.stringify([document.cookie, localStorage.length])');
  assert.equal(stored, '["",0]', 'only the session storage of the tab has it');
});
