/**
 * All tasks. A feature declares each of its own in its `tasks.ts`; here they come together, for those who need to know
 * of all: the queue and the runner by their definitions, a thread with their functions.
 */

import type { Database } from './db/database.ts';
import { sendEmail } from './features/mails/mails.ts';
import { sendEmailTask } from './features/mails/tasks.ts';
import { createReports, dailyReport } from './features/reports/reports.ts';
import { dailyReportTask } from './features/reports/tasks.ts';
import { createImportUsersTask, importUsers } from './features/uploads/tasks.ts';
import { uploadsFolder } from './features/uploads/uploads.ts';
import { createQueue } from './jobs/queue.ts';
import type { Task, TaskDefinition } from './jobs/task.ts';
import type { Mailer } from './mail/mailer.ts';
import type { Settings } from './settings/load.ts';

/** What tasks work with beside their context, opened once in each thread. */
export interface TaskParts {
  readonly settings: Settings;
  /** The thread's own two connections. A task takes the queries of its context; this is for what it calls. */
  readonly database: Database;
  /** How mail leaves; null if not at all. */
  readonly mailer: Mailer | null;
}

/** What everybody may know of the tasks. One for each that `createTasks` makes; a test holds the two together. */
export const taskDefinitions: readonly TaskDefinition[] = [dailyReport, importUsers, sendEmail];

/** The tasks with their functions: for a thread, which makes them at its start. */
export function createTasks({ settings, mailer }: TaskParts): readonly Task[] {
  const { dataDir, projectName: service } = settings.application;
  const queue = createQueue({ definitions: taskDefinitions });
  return [
    dailyReportTask(createReports({ queue, mailEnabled: mailer !== null, service })),
    createImportUsersTask({ folder: uploadsFolder(dataDir) }),
    sendEmailTask(mailer),
  ];
}
