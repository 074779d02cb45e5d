import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import { StartError } from '../../../src/errors.ts';
import { compileSchedules, defineSchedule } from '../../../src/jobs/schedule/schedule.ts';
import { defineTask } from '../../../src/jobs/task.ts';

const note = defineTask({ name: 'note', payload: z.strictObject({ tick: z.iso.datetime() }) });
const scheduleOf = (name: string, cron: string) =>
  defineSchedule({ name, cron, task: note, payload: (tick) => ({ tick: tick.toISOString() }) });
const minutely = scheduleOf('minutely', '* * * * *');

describe('a schedule', () => {
  it('a schedule is by default in UTC and makes up for missed ticks with one job', () => {
    assert.deepEqual([minutely.timeZone, minutely.catchUp], ['UTC', 'once']);
  });

  for (const [what, schedules, sentence] of [
    [
      'an invalid expression',
      [scheduleOf('nightly', '0 25 * * *')],
      /^The schedule nightly is invalid\. The hour "25"/,
    ],
    [
      'an expression that never fires',
      [scheduleOf('never', '0 0 30 2 *')],
      /^The schedule never is invalid\. .* never fires/,
    ],
    [
      'an unknown time zone',
      [{ ...minutely, timeZone: 'Europe/Atlantis' }],
      /^The schedule minutely is invalid\. The time zone "Europe\/Atlantis" does not exist/,
    ],
    [
      'an invalid name',
      [scheduleOf('Every Minute', '* * * * *')],
      /^The schedule Every Minute is invalid\. Its name must/,
    ],
    ['a duplicate name', [minutely, minutely], /^The schedule minutely is invalid\. Another schedule has/],
    [
      'a payload that its task rejects',
      [{ ...minutely, payload: () => ({ tick: 5 }) }],
      /^The schedule minutely is invalid\. The task note rejects its payload: \/tick: /,
    ],
    [
      'an error, as another schedule has,',
      [scheduleOf('one', '61 * * * *'), scheduleOf('two', '@reboot')],
      /^The schedule one .*\nThe schedule two /,
    ],
  ] as const) {
    it(`a schedule with ${what} stops the start with a sentence that names it`, () => {
      assert.throws(
        () => compileSchedules(schedules),
        (error) => error instanceof StartError && sentence.test(error.message),
      );
    });
  }
});
