import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Database } from '../../../src/db/database.ts';
import { taskDefinitions } from '../../../src/declarations.ts';
import { identity } from '../../../src/features/identity/feature.ts';
import { reports } from '../../../src/features/reports/feature.ts';
import { createReports, dailyReport, dayBefore } from '../../../src/features/reports/reports.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { compileSchedules } from '../../../src/jobs/schedule/schedule.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const { dailyCounts } = identity;
const queue = createQueue({ definitions: taskDefinitions });
const makeReport = createReports({ queue, dailyCounts, mailEnabled: true, service: 'Strata' });
const day = '2026-11-22';

/** Inserts for each moment a user and a session that were created then, and jobs that finished then in these states. */
async function mustHaveHappened(
  { sql }: Database,
  moments: readonly string[],
  states: readonly string[] = [],
): Promise<void> {
  for (const [index, moment] of moments.entries()) {
    const name = `user_${index}`;
    await sql`
      insert into users (username, email, password_hash, created_at)
      values (${name}, ${`${name}@example.org`}, 'none', ${moment}::timestamptz)`;
    await sql`
      insert into sessions
        (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
      select gen_random_uuid(), id, 'body', '192.0.2.1', '', sha256(${name}::text::bytea),
        ${moment}::timestamptz, ${moment}::timestamptz, ${moment}::timestamptz, ${moment}::timestamptz
      from users where username = ${name}`;
    for (const state of states) {
      await sql`
        insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms, finished_at, errors)
        values ('noop', 'default', ${state}, 0, '{}', 1, 1, ${moment}::timestamptz, '[{}]')`;
    }
  }
}

async function mustHaveAdmin(
  { sql }: Database,
  name: string,
  { verified }: { verified: boolean },
): Promise<void> {
  await sql`
    insert into users (username, email, password_hash, role, created_at, email_verified_at)
    values (${name}, ${`${name}@example.org`}, 'none', 'admin', '2020-01-01', ${verified ? new Date() : null})`;
}

describe('the daily report', () => {
  it('the report counts the rows of its day, from midnight to midnight in UTC', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const inside = ['2026-11-22T00:00:00Z', '2026-11-22T23:59:59.999999Z'];
    const outside = ['2026-11-21T23:59:59.999999Z', '2026-11-23T00:00:00Z'];
    await mustHaveHappened(database, [...inside, ...outside], ['completed', 'completed', 'failed']);
    // The time zone of the connection must not matter.
    const report = await database.transaction(async (sql) => {
      await sql`set local time zone 'Asia/Kolkata'`;
      return makeReport(sql, day);
    });
    assert.deepEqual(report, {
      day,
      new_users: 2,
      sign_ins: 2,
      jobs: { completed: 4, failed: 2, cancelled: 0 },
      mailed_to: 0,
    });
  });

  it('the report is mailed only to administrators whose address is verified', async (t) => {
    const database = await mustOpenTestDatabase(t);
    await mustHaveHappened(database, ['2026-11-22T12:00:00Z']);
    await mustHaveAdmin(database, 'ada', { verified: true });
    await mustHaveAdmin(database, 'eve', { verified: false });
    const report = await database.transaction((sql) => makeReport(sql, day));
    assert.equal(report.mailed_to, 1);
    const mails = await database.sql<{ name: string; payload: Record<string, string> }[]>`
      select name, payload from jobs`;
    assert.deepEqual(
      mails.map(({ name, payload }) => [name, payload.to, payload.subject]),
      [['send_email', 'ada@example.org', 'Strata: 2026-11-22']],
    );
    assert.match(mails[0]?.payload.body ?? '', /\nNew users {14}1\nSign-ins {15}1\nJobs completed/);
  });

  it('no mail is enqueued when the transaction of the report fails, or when mail is disabled', async (t) => {
    const database = await mustOpenTestDatabase(t);
    await mustHaveAdmin(database, 'ada', { verified: true });
    const lost = database.transaction(async (sql) => {
      await makeReport(sql, day);
      throw new Error('the job is lost');
    });
    await assert.rejects(lost, /the job is lost/);
    const silent = createReports({ queue, dailyCounts, mailEnabled: false, service: 'Strata' });
    const report = await database.transaction((sql) => silent(sql, day));
    assert.equal(report.mailed_to, 0);
    assert.equal((await database.sql`select from jobs`).count, 0);
  });

  it('the report covers the day before it is made', () => {
    assert.equal(dayBefore(new Date('2026-03-01T06:00Z')), '2026-02-28');
    assert.ok(dailyReport.payload.safeParse({ day: dayBefore(new Date('2028-03-01T06:00Z')) }).success);
    assert.equal(dailyReport.payload.safeParse({ day: '2026-02-30' }).success, false);
  });

  it('the report is made at six in the morning (UTC)', () => {
    const [schedule] = compileSchedules(reports.schedules);
    const tick = schedule?.ticks.next(new Date('2026-11-22T12:00:00Z'));
    assert.equal(tick?.toISOString(), '2026-11-23T06:00:00.000Z');
    assert.deepEqual(schedule?.payload(tick), { day: '2026-11-22' });
  });
});
