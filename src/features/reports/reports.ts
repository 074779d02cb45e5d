/**
 * The daily report counts the events of a day (UTC). It is the result of a job that the schedule in `feature.ts` enqueues
 * every morning, and is mailed to the administrators with a verified address.
 *
 * Each mail is a separate job, enqueued in the transaction that completes the report: a process that is killed in the
 * middle has sent none of them, and an unavailable mail server delays only the mails.
 */

import * as z from 'zod';
import type { Sql } from '../../db/sql.ts';
import type { Queue } from '../../jobs/queue.ts';
import { defineTask } from '../../jobs/task.ts';
import type { DailyCount } from '../feature.ts';
import { sendEmail } from '../mails/mails.ts';
import { countDay, type DayCounts, listReaders } from './store.ts';

/** Reports on a day in the form `2026-11-22`. Its result is a DailyReport. */
export const dailyReport = defineTask({
  name: 'daily_report',
  payload: z.strictObject({ day: z.iso.date('Use a date such as 2026-11-22.') }),
});

/** The result of the job. Beside these fields it has one for each daily count of the features, with its name. */
export interface DailyReport extends Pick<DayCounts, 'jobs'> {
  readonly day: string;
  /** Number of administrators to whom it is mailed; 0 if mail is disabled. */
  readonly mailed_to: number;
}

export interface ReportsOptions {
  readonly queue: Pick<Queue, 'enqueue'>;
  /** The rows to count. */
  readonly dailyCounts: readonly DailyCount[];
  /** Whether mail is enabled. */
  readonly mailEnabled: boolean;
  /** The name of the service. */
  readonly service: string;
}

/** Counts a day and enqueues the mails, all in the transaction whose `sql` is given. */
export type MakeReport = (sql: Sql, day: string) => Promise<DailyReport>;

export function createReports(options: ReportsOptions): MakeReport {
  const { queue, dailyCounts, mailEnabled, service } = options;
  return async function makeReport(sql, day) {
    const { counts, jobs } = await countDay(sql, day, dailyCounts);
    const rows = [
      ...dailyCounts.map(({ name, label }) => [label, counts[name] ?? 0] as const),
      ['Jobs completed', jobs.completed],
      ['Jobs failed', jobs.failed],
      ['Jobs cancelled', jobs.cancelled],
    ] as const;
    const readers = mailEnabled ? await listReaders(sql) : [];
    for (const { username, email } of readers) {
      await queue.enqueue(sql, sendEmail, {
        to: email,
        subject: `${service}: ${day}`,
        body: renderMail({ service, username, day, rows }),
      });
    }
    return { ...counts, day, jobs, mailed_to: readers.length };
  };
}

/** Returns the day before a time, in UTC: the day that a report of the next morning covers. */
export function dayBefore(moment: Date): string {
  return new Date(moment.getTime() - 86_400_000).toISOString().slice(0, 10);
}

function renderMail({
  service,
  username,
  day,
  rows,
}: {
  readonly service: string;
  readonly username: string;
  readonly day: string;
  readonly rows: readonly (readonly [label: string, count: number])[];
}): string {
  const table = rows.map(([label, count]) => `${label.padEnd(16)}${String(count).padStart(8)}`).join('\n');
  return `Hello ${username},\n\nthis is what happened at ${service} on ${day} (UTC):\n\n${table}\n\n${service}\n`;
}
