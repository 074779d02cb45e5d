import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { metricsOf } from '../helpers/job-fixture.ts';
import { mustOpenProxy } from '../helpers/postgres-proxy.ts';
import { mustMakeFolder, type Program, startProgram } from '../helpers/program.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';
import { mustStartReceiver, webhookPath, webhookSecret } from '../helpers/webhook-receiver.ts';

const alerting = {
  APP_MANAGEMENT_PORT: '0',
  APP_OUTGOING_ALLOWED_ADDRESSES: '127.0.0.1',
  SECURITY_ENABLE_ALERTING: 'true',
  SECURITY_ALERT_WINDOW_SECONDS: '2',
  SECURITY_ALERT_WEBHOOK_SECRET: webhookSecret,
};

const countOf = (event: string, ...programs: readonly Program[]) =>
  programs.reduce((sum, program) => sum + program.stdout().split(`"event":"${event}"`).length - 1, 0);

/** Sends requests on connections of their own, so that all workers get some. Returns how many were rejected. */
async function exceedLimit(program: Program, requests: number): Promise<number> {
  const url = await program.ready;
  const statuses = await Promise.all(
    Array.from({ length: requests }, async () => {
      return (await fetch(`${url}/api/v1/meta`, { headers: { connection: 'close' } })).status;
    }),
  );
  return statuses.filter((status) => status === 429).length;
}

describe('the program with alerting', () => {
  it('a threshold that only all workers of two nodes reach together raises one alert and one resolution, each delivered once', async (t) => {
    const receiver = await mustStartReceiver(t);
    const databaseUrl = await mustCreateDatabase(t);
    const env = {
      ...alerting,
      APP_DATABASE_URL: databaseUrl,
      SECURITY_RATE_LIMIT_PER_MINUTE: '1',
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_ALERT_RATE_LIMIT_THRESHOLD: '12',
      SECURITY_ALERT_WEBHOOK_URL: receiver.url,
    };
    const jobs = { APP_TASKS_ENABLED: 'true', APP_TASKS_THREADS: '1', APP_DATA_DIR: await mustMakeFolder(t) };
    const first = startProgram(t, { ...env, ...jobs, APP_WORKERS: '2' });
    const second = startProgram(t, env);
    await first.logged(/"job_process":1,.*"event":"process.ready"/);
    // The receiver fails at first, so the job has to try again.
    let failures = 0;
    receiver.answerWith((response) => {
      failures += 1;
      response.statusCode = failures <= 2 ? 500 : 200;
      response.end();
    });

    const [ofFirst, ofSecond] = await Promise.all([exceedLimit(first, 9), exceedLimit(second, 9)]);
    assert.ok(ofFirst < 12 && ofSecond < 12 && ofFirst + ofSecond >= 12, `${ofFirst} and ${ofSecond}`);
    await eventually('both nodes show the alert', async () => {
      const shown = await Promise.all(
        [first, second].map(async (each) => (await readAlerts(each)).json.firing),
      );
      return shown.every(([alert]) => alert?.rule === 'rate_limit_exceeded');
    });
    assert.match(await metricsOf(second), /^alerts_firing\{rule="rate_limit_exceeded"\} 1$/m);
    await eventually('the resolution is delivered', () => receiver.accepted.length === 2);

    const [raised, resolved] = receiver.accepted;
    assert.equal(raised?.alert.event, 'alert.raised');
    assert.equal(resolved?.alert.event, 'alert.resolved');
    assert.equal(raised?.alert.incident, resolved?.alert.incident);
    assert.ok((raised?.alert.value ?? 0) >= 12);
    assert.match(
      raised?.text ?? '',
      /^ALERT \(ticket\) Strata \(local\): \d+ requests exceeded a rate limit within 2 s\. Threshold: 12\. Runbook: docs\/runbooks\.md#stratarate/,
    );
    assert.match(resolved?.text ?? '', /^RESOLVED Strata \(local\): /);
    const tries = receiver.requests.filter(({ alert }) => alert.event === 'alert.raised');
    assert.equal(tries.length, 3);
    assert.equal(new Set(tries.map(({ alert }) => alert.id)).size, 1, 'the id is that of the message');
    assert.equal(countOf('alert.raised', first, second), 1);
    await eventually('no alert is firing', async () => (await readAlerts(second)).json.firing.length === 0);
    assert.equal(countOf('alert.resolved', first, second), 1);
    assert.doesNotMatch(first.stdout() + second.stdout(), new RegExp(`${webhookPath}|${webhookSecret}`));
    const { sql } = mustConnect(t, { url: databaseUrl });
    const rows = await sql`select name, state, payload::text from jobs order by id`;
    assert.deepEqual(
      rows.map(({ name, state }) => `${name} ${state}`),
      ['deliver_alert completed', 'deliver_alert completed'],
    );
    assert.doesNotMatch(JSON.stringify(rows), new RegExp(`${webhookPath}|${webhookSecret}`));
  });

  it('a database that is away raises an alert while it is away, and its resolution when it is back', async (t) => {
    const receiver = await mustStartReceiver(t);
    const proxy = await mustOpenProxy(t, await mustCreateDatabase(t));
    const program = startProgram(t, {
      ...alerting,
      APP_DATABASE_URL: proxy.url,
      SECURITY_ALERT_WINDOW_SECONDS: '1',
      SECURITY_ALERT_DATABASE_AWAY_SECONDS: '1',
      SECURITY_ALERT_WEBHOOK_URL: receiver.url,
    });
    await program.ready;
    proxy.block();
    proxy.reset();
    await eventually('the alert arrives', () => receiver.accepted.length === 1);
    const [raised] = receiver.accepted;
    assert.deepEqual([raised?.alert.event, raised?.alert.rule], ['alert.raised', 'database_away']);
    assert.equal(raised?.alert.severity, 'page');
    proxy.unblock();
    proxy.reset();
    await eventually('the resolution arrives', () => receiver.accepted.length === 2);
    assert.equal(receiver.accepted[1]?.alert.id, `${raised?.alert.incident}.resolved`);
    assert.equal(countOf('alert.raised', program), 1);
    assert.equal(countOf('alert.store_failed', program), 1);
    await program.logged(/"event":"alert.store_restored"/);

    // A database that does not answer must not delay the stop.
    proxy.block();
    proxy.reset();
    const startedAt = performance.now();
    program.process.kill('SIGTERM');
    assert.deepEqual(await program.ended, { code: 0, signal: null });
    assert.ok(performance.now() - startedAt < 10_000);
    assert.doesNotMatch(program.stdout(), /did not close within/);
  });

  it('a webhook at a private address that is not allowed stops the start with one sentence without its path', async (t) => {
    const program = startProgram(t, {
      ...alerting,
      APP_OUTGOING_ALLOWED_ADDRESSES: '10.0.0.1',
      SECURITY_ALERT_WEBHOOK_URL: `http://127.0.0.1:9/services/${webhookPath}`,
    });
    assert.equal((await program.ended).code, 1);
    assert.equal(
      program.stderr(),
      'SECURITY_ALERT_WEBHOOK_URL leads to 127.0.0.1, which is not a public address, so alerts could not be delivered: add it to APP_OUTGOING_ALLOWED_ADDRESSES, or change the URL.\n',
    );
  });
});

async function readAlerts(program: Program) {
  const response = await fetch(`${await program.management}/alerts`);
  const json: ReturnType<typeof JSON.parse> = await response.json();
  return { status: response.status, json };
}
