import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import type { Database } from '../../src/db/database.ts';
import { taskDefinitions } from '../../src/declarations.ts';
import { sendEmail } from '../../src/features/mails/mails.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { eventually } from './eventually.ts';
import { request } from './http-client.ts';
import { mustMakeFolder, type Program } from './program.ts';
import { mustStartSmtpServer, type TestSmtpServer } from './smtp-server.ts';
import { mustOpenTestDatabase } from './test-database.ts';

export const queue = createQueue({ definitions: taskDefinitions });

/** A database, a mail server that holds mails back, and the settings of a program that uses both. */
export interface JobFixture {
  readonly database: Database;
  readonly mails: TestSmtpServer;
  readonly env: Readonly<Record<string, string>>;
  /** Makes the mail server accept the mails that it holds back, and all later ones. */
  acceptMails(): void;
  enqueue(): Promise<number>;
  isRunning(job: number): Promise<boolean>;
  isCompleted(job: number): Promise<boolean>;
}

/** Creates the fixture. The mail server accepts no mail until `acceptMails` is called. */
export async function mustMakeJobFixture(t: TestContext): Promise<JobFixture> {
  const database = await mustOpenTestDatabase(t);
  const open = createDeferred();
  const mails = await mustStartSmtpServer(t, {
    onMailFrom: (_address, _session, callback) => void open.promise.then(() => callback()),
  });
  t.after(() => open.resolve());
  const stateOf = async (job: number) => (await queue.find(database.sql, job))?.state;
  return {
    database,
    mails,
    env: {
      APP_DATABASE_URL: database.url,
      APP_TASKS_ENABLED: 'true',
      APP_TASKS_THREADS: '1',
      APP_MANAGEMENT_PORT: '0',
      APP_DATA_DIR: await mustMakeFolder(t),
      APP_SMTP_URL: `smtp://127.0.0.1:${mails.port}`,
      APP_MAIL_FROM: 'strata@example.org',
      APP_RELOAD_CANARY_SECONDS: '0',
    },
    acceptMails: open.resolve,
    async enqueue() {
      const mail = { to: 'ada@example.org', subject: 'Hello', body: 'Hello.' };
      return (await queue.enqueue(database.sql, sendEmail, mail)).job.id;
    },
    isRunning: async (job) => (await stateOf(job)) === 'running',
    isCompleted: async (job) => (await stateOf(job)) === 'completed',
  };
}

export interface ProcessRow {
  readonly id: number;
  readonly kind: string;
  readonly pid: number;
  readonly state: string;
  /** 0 before its first report. */
  readonly rss_bytes: number;
}

/** Returns the processes of a program, read from its management port. */
export async function processesOf(program: Program): Promise<ProcessRow[]> {
  return (await request(Number(new URL(await program.management).port), { path: '/workers' })).json;
}

/** Returns the pids of the processes that run jobs and are ready. */
export async function runnersOf(program: Program): Promise<number[]> {
  const rows = await processesOf(program);
  return rows.filter(({ kind, state }) => kind === 'jobs' && state === 'ready').map(({ pid }) => pid);
}

/** Waits until the program is ready. Returns the pid of the process that runs its jobs. */
export async function mustFindJobsProcess(program: Program): Promise<number> {
  await program.logged(/"job_process":1,.*"event":"process.ready"/);
  await eventually('the program handles signals', () => program.stderr().includes('Ctrl+C'));
  const [pid, ...others] = await runnersOf(program);
  assert.ok(pid !== undefined && others.length === 0);
  return pid;
}

export async function metricsOf(program: Program): Promise<string> {
  return (await fetch(`${await program.management}/metrics`)).text();
}
