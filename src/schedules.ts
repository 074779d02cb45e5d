import { dailyReport, dayBefore } from './features/reports/reports.ts';
import { defineSchedule, type Schedule } from './jobs/schedule/schedule.ts';

/** Everything that happens by the clock; `jobs/schedule/schedule.ts` says how, and what becomes of ticks that are missed. */
export const schedules: readonly Schedule[] = [
  defineSchedule({
    name: 'daily_report',
    cron: '0 6 * * *',
    task: dailyReport,
    payload: (tick) => ({ day: dayBefore(tick) }),
  }),
];
