/**
 * `npm run prove -- jobs`: no job is lost and no effect happens twice, whichever process is killed.
 *
 *     npm run prove -- jobs            10,000 jobs, 20 killed runners, 3 killed primaries, 2 crashes of PostgreSQL
 *     npm run prove -- jobs --quick    fewer of each
 *
 * A server with its job process and two standalone runners run transfers between accounts; one job in twelve breaks its
 * thread on the first attempt. Meanwhile processes are killed, connections cut and PostgreSQL crashed. Then the ledger
 * is audited: each committed transfer must have its effect once, each rolled back one none. Afterwards a suspended
 * runner is resumed after its jobs were taken over, and jobs that destroy their threads, or crash their process, run
 * among others.
 */

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { createQueue } from '../../src/jobs/queue.ts';
import { defineTask } from '../../src/jobs/task.ts';
import { createChaos, type Strike } from './jobs/chaos.ts';
import { proveCrash } from './jobs/crash.ts';
import { openProofDatabase } from './jobs/database.ts';
import { audit, countUnfinished, createLedger, enqueueBatch, enqueueRolledBack } from './jobs/ledger.ts';
import { provePoison } from './jobs/poison.ts';
import { makeProcesses } from './jobs/processes.ts';
import { proveZombie } from './jobs/zombie.ts';
import { until } from './until.ts';

const quick = process.argv.includes('--quick');
const jobs = quick ? 1_500 : 10_000;
const strikes: Strike[] = shuffled([
  ...repeat<Strike>('runner killed', quick ? 4 : 20),
  ...repeat<Strike>('primary killed', quick ? 1 : 3),
  ...repeat<Strike>('database stopped', quick ? 1 : 2),
  ...repeat<Strike>('connections cut', quick ? 2 : 10),
]);

/** Maximum number of waiting jobs, so that a job that was taken over does not wait behind many others. */
const maxWaiting = 300;
const betweenStrikesMs = 2_000;
const recoverMs: Readonly<Record<Strike, number>> = {
  'runner killed': 2_500,
  'primary killed': 2_500,
  'connections cut': 2_500,
  'database stopped': 3_000,
};

/** The definition of the task in tasks.mjs, to enqueue its jobs. */
const transfer = defineTask({
  name: 'transfer',
  queue: 'ledger',
  payload: z.unknown(),
  maxAttempts: 50,
  timeoutMs: 20_000,
});
const queue = createQueue({ definitions: [transfer] });

const errors: string[] = [];
const database = await openProofDatabase();
const processes = await makeProcesses(database.url);
try {
  await createLedger(database.sql);
  await proveLedger();
  await proveFencing();
  await proveIsolation();
  await proveSuspects();
} catch (error) {
  errors.push(String(error));
  console.error(error);
} finally {
  if (errors.length > 0) console.error(`\n${processes.recent()}`);
  await processes.end();
  await database.stop();
}
for (const error of errors) console.log(`FAILED: ${error}`);
process.exit(errors.length > 0 ? 1 : 0);

async function proveLedger(): Promise<void> {
  const { sql } = database;
  const startedAt = performance.now();
  const server = processes.keep('server', { APP_WORKERS: '2' });
  const workers = [server, processes.keep('runner'), processes.keep('runner')];
  await until(
    'three runners are registered',
    async () => (await sql`select from job_runners`).length === 3,
    30_000,
  );
  const chaos = createChaos({ sql, server, stopDatabase: database.crash });
  let enqueued = 0;
  let struck = 0;
  const enqueuing = enqueueAll();
  for (const strike of strikes) {
    await until(
      'more jobs are enqueued',
      () => enqueued >= ((struck + 1) * jobs) / (strikes.length + 2) || enqueued >= jobs,
      120_000,
    );
    await chaos.strike(strike);
    struck += 1;
    await delay(betweenStrikesMs);
  }
  await enqueuing;
  await until('all have finished', async () => (await countOrMany()) === 0, 120_000);

  const result = await audit(sql);
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(
    `${result.enqueued} transfers in ${seconds.toFixed(0)} s, ${result.repeated} attempts beyond the first`,
  );
  console.log(
    `lost ${result.lost}, doubled ${result.doubled}, without a job ${result.withoutJob}; states ${JSON.stringify(result.states)}; sum ${result.sumIsRight ? 'right' : 'WRONG'}, balances ${result.balancesAreRight ? 'right' : 'WRONG'}`,
  );
  expect(result.enqueued >= jobs, `only ${result.enqueued} jobs were enqueued`);
  expect(result.states.completed === result.enqueued, `states ${JSON.stringify(result.states)}`);
  expect(
    result.lost + result.doubled + result.withoutJob === 0,
    'effects are lost, doubled or without a job',
  );
  expect(result.sumIsRight && result.balancesAreRight, 'the balances do not match the entries');
  for (const [strike, times] of await chaos.recoveries()) {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
    const count = strikes.filter((each) => each === strike).length;
    console.log(
      `${strike}: ${count} times, ${sorted.length} jobs hit; started again after p50 ${at(0.5)} ms, p90 ${at(0.9)}, p99 ${at(0.99)}, max ${at(1)}`,
    );
    expect(
      at(1) <= recoverMs[strike],
      `${strike}: a job started again after ${at(1)} ms, not within ${recoverMs[strike]}`,
    );
  }
  const codes = await Promise.all(workers.map((each) => each.stop()));
  expect(
    codes.every((code) => code === 0),
    `after SIGTERM they exited with ${codes.join(', ')}`,
  );

  async function enqueueAll(): Promise<void> {
    for (let batch = 1; enqueued < jobs; batch += 1) {
      while ((await countOrMany()) > maxWaiting) await delay(20);
      enqueued += await enqueueBatch(
        database,
        (tx, payload) => queue.enqueueByName(tx, 'transfer', payload),
        batch,
      );
      if (batch % 10 === 0) {
        await enqueueRolledBack(database, (tx, payload) => queue.enqueueByName(tx, 'transfer', payload));
      }
    }
  }

  /** Returns the maximum while the database does not answer, so that enqueueing pauses. */
  async function countOrMany(): Promise<number> {
    return countUnfinished(sql).catch(() => maxWaiting);
  }
}

async function proveFencing(): Promise<void> {
  const result = await proveZombie(database.sql, processes, async (payload) => {
    const { job } = await queue.enqueueByName(database.sql, 'transfer', payload);
    return job.id;
  });
  console.log(
    `suspended runner: its job was taken over after ${Math.round(result.recoveryMs)} ms, completed by attempt ${result.attempt}, effects ${result.effects}`,
  );
  expect(
    result.effects === 1 && result.attempt === 2,
    'the suspended runner completed a job that was not its own',
  );
}

async function proveIsolation(): Promise<void> {
  const { alone, besideEnding, besideLooping, ends } = await provePoison(
    database.sql,
    processes,
    quick ? 2_000 : 6_000,
  );
  const share = (rate: number) => `${rate.toFixed(0)} (${((100 * rate) / alone).toFixed(0)} %)`;
  console.log(
    `bad neighbours: ${alone.toFixed(0)} jobs per second without, ${share(besideEnding)} beside jobs that end their ` +
      `threads, ${share(besideLooping)} beside one that loops in one thread of eight`,
  );
  for (const end of ends) console.log(`  ${end}`);
  expect(besideEnding >= 0.9 * alone, 'jobs that destroy their threads slow the others down');
}

async function proveSuspects(): Promise<void> {
  const { alone, beside, restarts, crasher, lost, innocentFailed } = await proveCrash(
    database.sql,
    processes,
    quick ? 4_000 : 10_000,
  );
  console.log(
    `a job that crashes its process: ${alone.toFixed(0)} jobs per second without, ${beside.toFixed(0)} ` +
      `(${((100 * beside) / alone).toFixed(0)} %) beside it; ${restarts} runner lost with ${lost} other jobs, of which ` +
      `${innocentFailed} failed; it ended ${crasher}`,
  );
  expect(innocentFailed === 0, 'jobs failed because another one crashed their process');
  expect(restarts === 1, `the job that crashes ended ${restarts} runners, expected one`);
  expect(
    crasher === 'failed after runner_lost, crashed, crashed, crashed',
    `the job that crashes ended ${crasher}`,
  );
  // One restart takes a second or two, so it weighs more in a run with fewer jobs.
  expect(beside >= (quick ? 0.5 : 0.9) * alone, 'a job that crashes its process slows the others down');
}

function expect(holds: boolean, error: string): void {
  if (!holds) errors.push(error);
}

function repeat<T>(value: T, times: number): T[] {
  return Array.from({ length: times }, () => value);
}

/** Returns the values in random order. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
