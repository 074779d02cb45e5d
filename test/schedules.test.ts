import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compileSchedules } from '../src/jobs/schedule/schedule.ts';
import { schedules } from '../src/schedules.ts';
import { taskDefinitions } from '../src/tasks.ts';

it('every schedule of the program is right, and of a task that the program has', () => {
  for (const { name, task } of compileSchedules(schedules)) {
    assert.ok(taskDefinitions.includes(task), `${name} asks for ${task.name}, which is not in src/tasks.ts.`);
  }
});

it('the daily report is made at six in the morning (UTC), about the day before', () => {
  const report = compileSchedules(schedules).find(({ name }) => name === 'daily_report');
  const tick = report?.ticks.next(new Date('2026-11-22T12:00:00Z'));
  assert.equal(tick?.toISOString(), '2026-11-23T06:00:00.000Z');
  assert.deepEqual(report?.payload(tick), { day: '2026-11-22' });
});
