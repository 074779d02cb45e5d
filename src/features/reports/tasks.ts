import { implementTask, type Task } from '../../jobs/task.ts';
import { dailyReport, type MakeReport } from './reports.ts';

/** The task `daily_report`: counted, recorded and enqueued in one transaction. */
export function dailyReportTask(makeReport: MakeReport): Task {
  return implementTask(dailyReport, ({ day }, ctx) => ctx.tx((sql) => makeReport(sql, day)));
}
