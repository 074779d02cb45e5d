import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Database } from '../../../src/db/database.ts';
import {
  findSchedules,
  pauseSchedule,
  requestRun,
  resumeSchedule,
} from '../../../src/jobs/admin/schedules.ts';
import { createQueue, type Queue } from '../../../src/jobs/queue.ts';
import { parseCron } from '../../../src/jobs/schedule/cron.ts';
import { createTicks } from '../../../src/jobs/schedule/cron-ticks.ts';
import { defineSchedule, type Schedule } from '../../../src/jobs/schedule/schedule.ts';
import { databaseClock } from '../../../src/jobs/schedule/schedule-store.ts';
import { createScheduler, type SchedulerOptions } from '../../../src/jobs/schedule/scheduler.ts';
import { defineTask } from '../../../src/jobs/task.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const note = defineTask({ name: 'note', payload: z.strictObject({ tick: z.iso.datetime() }) });
const queue = createQueue({ definitions: [note] });

const scheduleOf = (name: string, cron: string, catchUp: Schedule['catchUp'] = 'once') =>
  defineSchedule({ name, cron, task: note, payload: (tick) => ({ tick: tick.toISOString() }), catchUp });

const minutely = scheduleOf('minutely', '* * * * *');

/** A scheduler with a clock that `at` sets. */
function schedulerAt(
  database: Database,
  time: string | Date,
  schedules: readonly Schedule[],
  options: Partial<SchedulerOptions> = {},
) {
  const { log, of } = captureLog();
  let now = new Date(time);
  const scheduler = createScheduler({ database, queue, schedules, log, clock: async () => now, ...options });
  return {
    ...scheduler,
    of,
    at(later: string | Date) {
      now = new Date(later);
      return scheduler.runOnce();
    },
  };
}

/** Returns the enqueued jobs in order: the name of the schedule and the tick. */
async function firedIn({ sql }: Database): Promise<string[]> {
  const rows = await sql<{ fired: string }[]>`
    select split_part(unique_key, '@', 1) || ' ' || (payload ->> 'tick') as fired from jobs order by id`;
  return rows.map(({ fired }) => fired);
}

describe('a scheduler', () => {
  it('a scheduler enqueues the job of a tick when it is due, and returns when to run the next round', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const scheduler = schedulerAt(database, '2026-05-01T05:59:20Z', [
      scheduleOf('daily', '0 6 * * *'),
      minutely,
    ]);
    assert.deepEqual(await scheduler.runOnce(), { waitMs: 40_000 });
    assert.deepEqual(await firedIn(database), []);
    assert.deepEqual(await scheduler.at('2026-05-01T06:00:00.250Z'), { waitMs: 59_750 });
    assert.deepEqual(await firedIn(database), [
      'daily 2026-05-01T06:00:00.000Z',
      'minutely 2026-05-01T06:00:00.000Z',
    ]);
    const [line] = scheduler.of('schedule.fired');
    assert.deepEqual([line?.schedule, line?.task, line?.late_ms], ['daily', 'note', 250]);
  });

  it('a scheduler runs a round at least once a minute, however far the next tick is', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const scheduler = schedulerAt(database, '2026-05-01T00:00Z', [scheduleOf('yearly', '@yearly')]);
    assert.deepEqual(await scheduler.runOnce(), { waitMs: 60_000 });
  });

  it('a scheduler enqueues one job for all missed ticks, or none for a schedule that skips them', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const schedules = [minutely, scheduleOf('forgetful', '*/10 * * * *', 'skip')];
    await schedulerAt(database, '2026-05-01T00:00:30Z', schedules).runOnce();
    const later = schedulerAt(database, '2026-06-01T00:05:30Z', schedules);
    await later.runOnce();
    assert.deepEqual(await firedIn(database), ['minutely 2026-06-01T00:05:00.000Z']);
    assert.equal(later.of('schedule.skipped')[0]?.schedule, 'forgetful');
    await later.at('2026-06-01T00:10:00Z');
    assert.deepEqual((await firedIn(database)).slice(1), [
      'minutely 2026-06-01T00:10:00.000Z',
      'forgetful 2026-06-01T00:10:00.000Z',
    ]);
  });

  it('a scheduler fires no tick twice when the clock is set back', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const scheduler = schedulerAt(database, '2026-05-01T00:00:30Z', [minutely]);
    await scheduler.runOnce();
    await scheduler.at('2026-05-01T00:03:00Z');
    await scheduler.at('2026-05-01T00:01:30Z');
    await scheduler.at('2026-05-01T00:03:59Z');
    assert.deepEqual(await firedIn(database), ['minutely 2026-05-01T00:03:00.000Z']);
  });

  for (const [ahead, isSilent] of [
    ['2026-05-01T00:06:20Z', true],
    ['2026-05-01T00:07:00Z', false],
    ['2027-05-01T00:00:00Z', false],
  ] as const) {
    it(`a scheduler whose last tick was fired at ${ahead} by a wrong clock ${isSilent ? 'waits until then' : 'starts again at once, with a warning'}`, async (t) => {
      const database = await mustOpenTestDatabase(t);
      const scheduler = schedulerAt(database, '2026-05-01T00:00:30Z', [minutely]);
      await scheduler.runOnce();
      await scheduler.at(ahead);
      await scheduler.at('2026-05-01T00:01:30Z');
      await scheduler.at('2026-05-01T00:01:59Z');
      await scheduler.at('2026-05-01T00:02:00Z');
      await scheduler.at('2026-05-01T00:02:01Z');
      const [, ...after] = await firedIn(database);
      assert.deepEqual(after, isSilent ? [] : ['minutely 2026-05-01T00:02:00.000Z']);
      const lines = scheduler.of('schedule.clock_set_back').map(({ level, schedule, last_tick, now }) => {
        return { level, schedule, last_tick, now };
      });
      const minute = new Date(Math.floor(new Date(ahead).getTime() / 60_000) * 60_000).toISOString();
      const warning = { level: 'warning', schedule: 'minutely', last_tick: minute };
      assert.deepEqual(lines, isSilent ? [] : [{ ...warning, now: '2026-05-01T00:01:30.000Z' }]);
    });
  }

  it('a changed expression starts now, and the version of the program with the old one skips the schedule', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const old = schedulerAt(database, '2026-05-01T00:00:30Z', [minutely, scheduleOf('gone', '* * * * *')]);
    await old.runOnce();
    const latter = schedulerAt(database, '2026-05-01T00:10:30Z', [scheduleOf('minutely', '*/5 * * * *')]);
    await latter.runOnce();
    await old.at('2026-05-01T00:12:00Z');
    assert.deepEqual(await firedIn(database), []);
    await latter.at('2026-05-01T00:15:00Z');
    assert.deepEqual(await firedIn(database), ['minutely 2026-05-01T00:15:00.000Z']);
    const names = await database.sql<{ name: string }[]>`select name from job_schedules`;
    assert.deepEqual(
      names.map(({ name }) => name),
      ['minutely'],
    );
  });

  it('a scheduler skips a schedule whose expression changes between its read and its transaction', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const latter = schedulerAt(database, '2026-05-01T00:10:30Z', [scheduleOf('minutely', '*/5 * * * *')]);
    const overtaken: SchedulerOptions['database'] = {
      sql: database.sql,
      async transaction(...args) {
        await latter.runOnce();
        return database.transaction(...args);
      },
    };
    const old = schedulerAt(database, '2026-05-01T00:00:30Z', [minutely], { database: overtaken });
    await old.runOnce();
    await old.at('2026-05-01T00:12:00Z');
    assert.deepEqual(await firedIn(database), []);
  });

  it('a paused schedule enqueues nothing in any process until it is resumed, and then continues with the next tick', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const start = new Date();
    start.setUTCSeconds(0, 0);
    const after = (minutes: number) => new Date(start.getTime() + minutes * 60_000);
    const [one, other] = [schedulerAt(database, start, [minutely]), schedulerAt(database, start, [minutely])];
    for (const scheduler of [one, other]) await scheduler.runOnce();
    await one.at(after(1));
    await pauseSchedule(database.sql, 'minutely');
    for (const scheduler of [one, other]) {
      await scheduler.at(after(2));
      assert.deepEqual(await scheduler.at(after(3)), { waitMs: 60_000 }, 'it looks again at the next tick');
    }
    assert.equal((await firedIn(database)).length, 1);
    await resumeSchedule(database.sql, 'minutely');
    await database.sql`update job_schedules set last_tick = ${after(3)}`;
    for (const scheduler of [one, other]) await scheduler.at(after(4));
    assert.deepEqual(
      await firedIn(database),
      [1, 4].map((minute) => `minutely ${after(minute).toISOString()}`),
    );
  });

  it('a schedule that is paused between the read and the transaction of a scheduler enqueues nothing', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const scheduler = schedulerAt(database, '2026-05-01T12:00:00Z', [minutely], {
      database: {
        sql: database.sql,
        async transaction(work) {
          await pauseSchedule(database.sql, 'minutely');
          return database.transaction(work);
        },
      },
    });
    await scheduler.runOnce();
    await scheduler.at('2026-05-01T12:01:00Z');
    assert.deepEqual(await firedIn(database), []);
    assert.deepEqual(scheduler.of('schedule.failed'), []);
  });

  it('a requested run is enqueued once by several schedulers, and recorded as the last run', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const time = '2026-05-01T12:00:20Z';
    const daily = scheduleOf('daily', '0 6 * * *');
    const [one, other] = [schedulerAt(database, time, [daily]), schedulerAt(database, time, [daily])];
    for (const scheduler of [one, other]) await scheduler.runOnce();
    assert.deepEqual(await firedIn(database), []);
    await requestRun(database.sql, 'daily');
    await Promise.all([one.runOnce(), other.runOnce()]);
    await one.runOnce();
    assert.deepEqual(await firedIn(database), ['daily 2026-05-01T12:00:20.000Z']);
    const [line] = [...one.of('schedule.fired'), ...other.of('schedule.fired')];
    assert.equal(line?.schedule, 'daily');
    assert.ok(line.requested_at);
    const [listed] = await findSchedules(database.sql);
    assert.deepEqual([listed?.runRequestedAt, listed?.lastJob?.id], [null, line.job_id]);
  });

  it('a started scheduler that is woken enqueues a requested run at once', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { log, of } = captureLog();
    const daily = scheduleOf('daily', '0 6 * * *');
    const scheduler = createScheduler({ database, queue, schedules: [daily], log });
    t.after(() => scheduler.stop());
    scheduler.wake();
    scheduler.start();
    await eventually('it is registered', async () => (await findSchedules(database.sql)).length === 1);
    await requestRun(database.sql, 'daily');
    await eventually('it has fired', () => {
      // As the runner does at each poll: the first round may still be in progress.
      scheduler.wake();
      return of('schedule.fired').length === 1;
    });
    await scheduler.stop();
    scheduler.wake();
    assert.equal((await firedIn(database)).length, 1);
  });

  it('a scheduler retries a failed schedule without delaying the others', async (t) => {
    const database = await mustOpenTestDatabase(t);
    let broken = true;
    const enqueue: Queue['enqueue'] = async (sql, task, payload, options) => {
      const enqueued = await queue.enqueue(sql, task, payload, options);
      if (broken && options?.uniqueKey?.startsWith('minutely')) throw new Error('the connection is gone');
      return enqueued;
    };
    const schedules = [minutely, scheduleOf('other', '* * * * *')];
    const scheduler = schedulerAt(database, '2026-05-01T00:00:30Z', schedules, { queue: { enqueue } });
    await scheduler.runOnce();
    assert.deepEqual(await scheduler.at('2026-05-01T00:01:00Z'), { waitMs: 2_000 });
    assert.deepEqual(await firedIn(database), ['other 2026-05-01T00:01:00.000Z']);
    broken = false;
    await scheduler.at('2026-05-01T00:01:02Z');
    assert.deepEqual((await firedIn(database)).slice(1), ['minutely 2026-05-01T00:01:00.000Z']);
  });

  it('a started scheduler fires on time, survives a short database outage, and runs until it is stopped', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { log, of } = captureLog();
    // The clock of the database, shifted so that the minute ends half a second after the first read.
    let ahead: number | undefined;
    let failures = 1;
    const clock: SchedulerOptions['clock'] = async (sql) => {
      if (failures-- > 0) throw new Error('the database is away');
      const now = await databaseClock(sql);
      ahead ??= 59_500 - (now.getTime() % 60_000);
      return new Date(now.getTime() + ahead);
    };
    const scheduler = createScheduler({ database, queue, schedules: [minutely], log, clock });
    t.after(() => scheduler.stop());
    scheduler.start();
    scheduler.start();
    await eventually('the tick has fired', () => of('schedule.fired').length > 0);
    assert.equal(of('schedule.failed').length, 1);
    const late = of('schedule.fired')[0]?.late_ms;
    assert.ok(typeof late === 'number' && late < 1_000, `It was ${late} ms late.`);
    await Promise.all([scheduler.stop(), scheduler.stop()]);
  });

  it('stopping a scheduler waits for the current round', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const roundStarted = createDeferred();
    const release = createDeferred();
    const clock = async () => {
      roundStarted.resolve();
      await release.promise;
      return new Date('2026-05-01T00:00:30Z');
    };
    const scheduler = schedulerAt(database, '2026-05-01T00:00Z', [minutely], { clock });
    scheduler.start();
    await roundStarted.promise;
    let stopped = false;
    const stopping = scheduler.stop().then(() => {
      stopped = true;
    });
    assert.equal(stopped, false);
    release.resolve();
    await stopping;
    assert.equal((await database.sql`select from job_schedules`).count, 1);
  });
});

describe('several schedulers that die at random', () => {
  /** The behaviour of one scheduler in a round. A dead one is replaced by a new one. */
  type Fate = 'lives' | 'dies before the commit' | 'dies after the commit';

  const step = fc.record({
    // Seconds until the round.
    passes: fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 2_000 })),
    fates: fc.array(
      fc.constantFrom<Fate>('lives', 'lives', 'dies before the commit', 'dies after the commit'),
      { minLength: 1, maxLength: 4 },
    ),
  });

  it('several schedulers fire each tick exactly once, and miss none while one of them lives', async (t) => {
    const database = await mustOpenTestDatabase(t, { poolSize: 6 });
    const schedules = [minutely, scheduleOf('forgetful', '*/3 * * * *', 'skip')];
    const begin = new Date('2026-03-28T23:59:30Z');

    let enqueuings = 0;
    /**
     * The database and queue of the program until the scheduler dies, without unique keys, so duplicates would show.
     */
    const mortal = (fate: Fate): Partial<SchedulerOptions> => ({
      queue: {
        async enqueue(sql, task, payload, options) {
          const uniqueKey = `${options?.uniqueKey}@${enqueuings++}`;
          const enqueued = await queue.enqueue(sql, task, payload, { uniqueKey });
          if (fate === 'dies before the commit') throw new Error('killed');
          return enqueued;
        },
      },
      database: {
        sql: database.sql,
        async transaction(...args) {
          const result = await database.transaction(...args);
          if (fate === 'dies after the commit') throw new Error('killed');
          return result;
        },
      },
    });

    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
        await database.sql`truncate jobs, job_schedules`;
        await schedulerAt(database, begin, schedules).runOnce();
        const expected: string[] = [];
        const dealtWith = new Map(schedules.map(({ name }) => [name, begin]));
        let now = begin;
        for (const { passes, fates } of steps) {
          now = new Date(now.getTime() + passes * 1000);
          await Promise.all(
            fates.map((fate) => schedulerAt(database, now, schedules, mortal(fate)).runOnce()),
          );
          for (const { name, cron, catchUp } of schedules) {
            const last = dealtWith.get(name) ?? begin;
            const tick = createTicks(parseCron(cron), 'UTC').latest(last, now);
            const missed =
              tick !== undefined && catchUp === 'skip' && now.getTime() - tick.getTime() >= 120_000;
            // Skipping a tick enqueues no job, so a death during enqueueing cannot happen.
            const survives = missed || fates.some((fate) => fate !== 'dies before the commit');
            if (tick === undefined || !survives) continue;
            dealtWith.set(name, tick);
            if (!missed) expected.push(`${name} ${tick.toISOString()}`);
          }
        }
        assert.deepEqual((await firedIn(database)).sort(), expected.sort());
      }),
      { numRuns: 40 },
    );
  });
});
