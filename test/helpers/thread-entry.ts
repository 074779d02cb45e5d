/** The entry of a thread with tasks that misbehave in every way, and some that do not. */

import { subscribe } from 'node:diagnostics_channel';
import { parentPort, workerData } from 'node:worker_threads';
import * as z from 'zod';
import { connectDatabase } from '../../src/db/database.ts';
import { AppError } from '../../src/errors.ts';
import {
  defineTask,
  implementTask,
  type TaskContext,
  TaskRejection,
  TaskSnooze,
} from '../../src/jobs/task.ts';
import { runTasks } from '../../src/jobs/thread/run-tasks.ts';
import { createThreadLog } from '../../src/jobs/thread/thread-log.ts';
import { attemptChannel } from '../../src/observability/trace-channels.ts';
import { oddValues } from './odd-values.ts';

export interface TestThreadData {
  /** Null for a thread without a database. */
  readonly databaseUrl: string | null;
}

if (parentPort === null) throw new Error('This file must run in a thread.');
const port = parentPort;
const { databaseUrl }: TestThreadData = workerData;
const log = createThreadLog((message) => port.postMessage(message), {
  level: 'INFO',
  base: { service: 'test' },
});
const database = connectDatabase({
  url: databaseUrl,
  poolSize: 2,
  statementTimeoutMs: 10_000,
  connectTimeoutSeconds: 5,
  slowQueryMs: 10_000,
  echo: false,
  log: log.named('database'),
  applicationName: 'strata-test-thread',
});

type Run = (payload: { readonly at?: string | undefined }, ctx: TaskContext) => unknown;

const payload = z.strictObject({ at: z.string().optional() });
const task = (name: string, run: Run) => implementTask(defineTask({ name, payload }), run);

/** Never resolves, and does not keep the thread alive. */
const never = new Promise<never>(() => {});

function oddValue(name: string | undefined): unknown {
  const make = oddValues[name ?? ''];
  if (make === undefined) throw new Error(`The odd value "${name}" does not exist.`);
  return make();
}

function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth));
}

function blockForever(): never {
  for (;;);
}

function blockAt(here: string, wanted: string | undefined): void {
  if (here === wanted) blockForever();
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

const tasks = [
  task('no_op', () => {}),
  task('echo', (given, ctx) => ({ given, job: ctx.job })),
  task('waits', () => never),
  task('loops', blockForever),
  task('speaks_and_loops', (_, ctx) => {
    ctx.progress(0.5, 'about to block');
    ctx.log.info('user.created', { step: 'before the loop' });
    blockForever();
  }),
  task('leaks', () => {
    const kept: string[][] = [];
    for (;;) kept.push(Array.from({ length: 100 }, (_, index) => `${kept.length}-${index}`));
  }),
  task('throws', () => {
    throw new Error('It went wrong.', { cause: new Error('The root of it.') });
  }),
  task('rejects', async () => {
    throw new AppError('conflict', 'There is one already: choose another name.');
  }),
  task('throws_text', () => {
    throw 'a text';
  }),
  task('refuses', () => {
    throw new TaskRejection('Two lines are wrong.', { rows: [{ line: 2 }, { line: 7 }] });
  }),
  task('snoozes', () => {
    throw new TaskSnooze(1234);
  }),
  task('snoozes_for_no_time', () => {
    throw new TaskSnooze(Number.NaN);
  }),
  task('throws_in_a_timer', () => {
    setTimeout(() => {
      throw new Error('Thrown by a timer.');
    });
    return never;
  }),
  task('rejects_unheard', () => {
    void Promise.reject(new Error('It has no handler.'));
    return never;
  }),
  task('leaves_a_timer_that_throws', () => {
    setTimeout(() => {
      throw new Error('Thrown when it was over.');
    }, 50);
  }),
  task('exits', () => process.exit(7)),
  task('kills_its_process', ({ at }) => {
    process.kill(process.pid, at);
    return never;
  }),
  task('ends_when_told', async (_, ctx) => {
    await aborted(ctx.signal);
    ctx.signal.throwIfAborted();
  }),
  task('returns_when_told', async (_, ctx) => {
    await aborted(ctx.signal);
    return { done: 'all the same' };
  }),
  task('returns_too_much', () => 'x'.repeat(1_048_576)),
  task('returns_a_circle', () => {
    const circle: Record<string, unknown> = {};
    circle.itself = circle;
    return circle;
  }),
  task('refuses_deeply', () => {
    throw new TaskRejection('It is deep.', nested(4000));
  }),
  task('returns_a_depth', ({ at }) => nested(Number(at))),
  task('sends_a_depth', () => {
    port.postMessage(nested(4000));
    return never;
  }),
  task('throws_odd', ({ at }) => {
    throw oddValue(at);
  }),
  task('rejects_odd', ({ at }) => Promise.reject(oddValue(at))),
  task('returns_odd', ({ at }) => oddValue(at)),
  task('refuses_odd', ({ at }) => {
    throw new TaskRejection('It refuses.', oddValue(at));
  }),
  task('snoozes_odd', ({ at }) => {
    throw Object.defineProperty(new TaskSnooze(1), 'delayMs', { value: oddValue(at) });
  }),
  task('logs_odd', ({ at }, ctx) => {
    const odd = oddValue(at);
    ctx.log.warning('user.updated', { odd, error: odd });
  }),
  task('reports_odd', ({ at }, ctx) => {
    const odd = oddValue(at);
    Reflect.apply(ctx.progress, ctx, [odd, odd]);
    Reflect.apply(ctx.progress, ctx, [0.5, odd]);
  }),
  task('throws_odd_in_a_timer', ({ at }) => {
    setTimeout(() => {
      throw oddValue(at);
    });
    return never;
  }),
  task('returns_100_mb', () => ({ text: 'x'.repeat(100 * 1_048_576) })),
  task('posts', ({ at }) => {
    port.postMessage(JSON.parse(at ?? 'null'));
    return never;
  }),
  // A tracer that, when the thread stops, needs a moment to send what it has seen: here to the log.
  task('attaches_a_tracer', (_, ctx) => {
    const seen: string[] = [];
    const { start, error, asyncEnd } = attemptChannel;
    start.subscribe((message) => seen.push(`start ${Object(message).task} ${Object(message).trace.spanId}`));
    error.subscribe((message) => seen.push(`error ${Object(message).error.code}`));
    asyncEnd.subscribe((message) => seen.push(`end ${Object(message).outcome}`));
    subscribe('strata.stop', (message) =>
      Object(message).waitUntil(
        new Promise<void>((resolve) =>
          setImmediate(() => {
            ctx.log.info('user.updated', { seen });
            resolve();
          }),
        ),
      ),
    );
  }),
  task('logs', (_, ctx) => ctx.log.warning('user.updated', { answer: 42 })),
  task('progresses', async (_, ctx) => {
    for (let step = 1; step <= 1000; step += 1) {
      ctx.progress(step / 1000, `step ${step}`);
      if (step % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    ctx.progress(Number.NaN);
  }),
  task('progresses_beyond', (_, ctx) => ctx.progress(7)),
  task('asks_the_database', async (_, ctx) => {
    await ctx.sql`select pg_sleep(60)`;
  }),
  task('counts', async ({ at }, ctx) => {
    blockAt('before the transaction', at);
    const count = await ctx.tx(async (sql) => {
      const [row] = await sql<{ count: number }[]>`
        insert into effects (job) values (${ctx.job.id}) returning (select count(*)::int + 1 from effects) as count`;
      ctx.progress(0.5, 'written');
      blockAt('after the effect', at);
      if (at === 'waits in the transaction') await never;
      if (at === 'throws in the transaction') throw new Error('Not this time.');
      if (at === 'exits at the commit') setImmediate(() => process.exit(0));
      return { count: row?.count };
    });
    ctx.progress(1, 'committed');
    blockAt('after the commit', at);
    if (at === 'throws after the commit') throw new Error('Too late to matter.');
    if (at === 'again') await ctx.tx(async (sql) => sql`insert into effects (job) values (${ctx.job.id})`);
    return count;
  }),
  task('counts_unawaited', (_, ctx) => {
    void ctx.tx((sql) => sql`insert into effects (job) values (${ctx.job.id})`);
  }),
  // After its effect it sends the statements in `at`, a JSON array. A statement that starts with "try " may fail.
  task('sends_in_tx', ({ at }, ctx) =>
    ctx.tx(async (sql) => {
      const statements: string[] = JSON.parse(at ?? '[]');
      const first = statements[0]?.startsWith('set transaction') ? statements.splice(0, 1) : [];
      for (const text of first) await sql.unsafe(text);
      await sql`insert into effects (job) values (${ctx.job.id})`;
      for (const text of statements) {
        const sent = sql.unsafe(text.replace(/^try /, '').replaceAll('$job', String(ctx.job.id)));
        await (text.startsWith('try ') ? sent.catch(() => {}) : sent);
      }
    }),
  ),
  task('kills_its_connection', (_, ctx) =>
    ctx.tx(async (sql) => {
      await sql`insert into effects (job) values (${ctx.job.id})`;
      await sql`select pg_terminate_backend(pg_backend_pid())`;
    }),
  ),
];

runTasks({ port, tasks, database, log, close: () => database.close(0.2) });
