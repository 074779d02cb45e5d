import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sql } from '../../../src/db/sql.ts';
import {
  findSchedules,
  pauseSchedule,
  requestRun,
  resumeSchedule,
} from '../../../src/jobs/admin/schedules.ts';
import { registerSchedules } from '../../../src/jobs/schedule/schedule-store.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const daily = { name: 'daily_report', cron: '0 6 * * *', timeZone: 'UTC' };
const weekly = { name: 'weekly_digest', cron: '30 7 * * 1', timeZone: 'Europe/Berlin' };

/** Declares both schedules an hour ago. */
async function mustRegister(sql: Sql): Promise<void> {
  await registerSchedules(sql, [daily, weekly], new Date(Date.now() - 3_600_000));
}

test('the list of schedules has the last run with its job, and the next run', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustRegister(sql);
  const job = await mustStoreJob(sql, { state: 'completed' });
  await sql`update job_schedules set last_run_at = now(), last_job = ${job} where name = 'daily_report'`;
  await sql`update job_schedules set last_run_at = now(), last_job = 4711 where name = 'weekly_digest'`;
  const [first, second] = await findSchedules(sql);
  assert.deepEqual([first?.name, first?.cron, first?.timeZone], ['daily_report', '0 6 * * *', 'UTC']);
  assert.deepEqual(first?.lastJob, { id: job, state: 'completed' });
  assert.ok(first.lastRunAt instanceof Date);
  assert.match(first.nextRunAt?.toISOString() ?? '', /T06:00:00.000Z$/);
  assert.ok(first.nextRunAt !== null && first.nextRunAt.getTime() > Date.now());
  assert.deepEqual(second?.lastJob, { id: 4711, state: null }, 'a pruned job has no state');
  assert.match(second.nextRunAt?.toISOString() ?? '', /T0[56]:30:00.000Z$/, 'in its own time zone');
});

test('a schedule that another version of the program has written is listed without a next run', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await sql`insert into job_schedules (name, cron, time_zone, last_tick) values ('odd', 'at noon', 'Moon/Base', now())`;
  assert.equal((await findSchedules(sql))[0]?.nextRunAt, null);
});

test('a paused schedule has no next run, and its pause outlives a registration', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustRegister(sql);
  await requestRun(sql, 'daily_report');
  await pauseSchedule(sql, 'daily_report');
  const since = (await findSchedules(sql))[0]?.pausedAt;
  assert.ok(since instanceof Date);
  await registerSchedules(sql, [{ ...daily, cron: '0 7 * * *' }, weekly], new Date());
  await pauseSchedule(sql, 'daily_report');
  const [paused, other] = await findSchedules(sql);
  assert.deepEqual([paused?.pausedAt, paused?.nextRunAt, paused?.runRequestedAt], [since, null, null]);
  assert.equal(other?.pausedAt, null);
});

test('a resumed schedule continues after the ticks of its pause, and resuming again changes nothing', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustRegister(sql);
  const lastTick = async () =>
    (await sql<{ tick: Date }[]>`select last_tick as tick from job_schedules where name = 'daily_report'`)[0]
      ?.tick;
  const before = await lastTick();
  await resumeSchedule(sql, 'daily_report');
  assert.deepEqual(await lastTick(), before, 'it was not paused');
  await pauseSchedule(sql, 'daily_report');
  await resumeSchedule(sql, 'daily_report');
  const resumed = await lastTick();
  assert.ok(
    before !== undefined && resumed !== undefined && resumed.getTime() - before.getTime() > 3_000_000,
  );
});

test('a run is requested once until it is enqueued, and not while the schedule is paused', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustRegister(sql);
  await requestRun(sql, 'daily_report');
  const at = (await findSchedules(sql))[0]?.runRequestedAt;
  await requestRun(sql, 'daily_report');
  assert.deepEqual((await findSchedules(sql))[0]?.runRequestedAt, at);
  await pauseSchedule(sql, 'weekly_digest');
  await assert.rejects(requestRun(sql, 'weekly_digest'), { code: 'conflict', message: /resume it first/ });
  for (const work of [pauseSchedule, resumeSchedule, requestRun]) {
    await assert.rejects(work(sql, 'dayly'), { code: 'not_found', message: 'There is no schedule dayly.' });
  }
});
