import { defineSchedule } from '../../jobs/schedule/schedule.ts';
import type { Feature } from '../feature.ts';
import { createReports, dailyReport, dayBefore } from './reports.ts';
import { dailyReportTask } from './tasks.ts';

/** The daily report to the administrators. */
export const reports = {
  name: 'reports',
  tasks: [
    {
      definition: dailyReport,
      create: ({ settings, queue, mailer, dailyCounts }) =>
        dailyReportTask(
          createReports({
            queue,
            dailyCounts,
            mailEnabled: mailer !== null,
            service: settings.application.projectName,
          }),
        ),
    },
  ],
  schedules: [
    defineSchedule({
      name: 'daily_report',
      cron: '0 6 * * *',
      task: dailyReport,
      payload: (tick) => ({ day: dayBefore(tick) }),
    }),
  ],
} satisfies Feature;
