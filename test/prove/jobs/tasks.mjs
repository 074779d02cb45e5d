/**
 * The front file of a feature with the tasks of the proof, in a copy of the sources. Each attempt records its start in
 * a statement of its own, so that recoveries can be timed. Its effect is in the transaction that completes the job.
 */

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { defineTask, implementTask } from '../../jobs/task.ts';

const soon = { baseMs: 100, maxMs: 500 };

/** Transfers money. The first attempt fails as `fault` specifies; later ones succeed. */
const transfer = defineTask({
  name: 'transfer',
  queue: 'ledger',
  payload: z.object({
    from: z.number(),
    to: z.number(),
    amount: z.number(),
    ms: z.number(),
    fault: z.enum(['none', 'throws', 'exits before', 'exits inside', 'exits after']),
  }),
  maxAttempts: 50,
  timeoutMs: 20_000,
  backoff: soon,
});

const runTransfer = implementTask(transfer, async ({ from, to, amount, ms, fault }, ctx) => {
  const { id, attempt } = ctx.job;
  const now = (at) => attempt === 1 && fault === at;
  await ctx.sql`insert into ledger_starts (job, attempt) values (${id}, ${attempt})`;
  if (now('throws')) throw new Error('Injected by the proof.');
  if (now('exits before')) process.exit(1);
  await delay(ms);
  await ctx.tx(async (sql) => {
    // In a fixed order, so that two transfers cannot deadlock.
    for (const [account, change] of [
      [from, -amount],
      [to, amount],
    ].toSorted(([a], [b]) => a - b)) {
      await sql`update ledger_accounts set balance = balance + ${change} where id = ${account}`;
    }
    if (now('exits inside')) process.exit(1);
    await sql`insert into ledger_entries (job, attempt, from_account, to_account, amount) values (${id}, ${attempt}, ${from}, ${to}, ${amount})`;
    return { amount };
  });
  if (now('exits after')) process.exit(1);
});

/** Waits without using the processor. */
const pause = defineTask({
  name: 'pause',
  queue: 'pauses',
  payload: z.object({ ms: z.number() }),
  backoff: soon,
});
const runPause = implementTask(pause, ({ ms }) => delay(ms));

const poison = defineTask({
  name: 'poison',
  queue: 'poison',
  payload: z.object({ how: z.enum(['exit', 'memory', 'blocked', 'crash']) }),
  maxAttempts: 3,
  timeoutMs: 1_000,
  backoff: soon,
});

const runPoison = implementTask(poison, ({ how }) => {
  if (how === 'exit') process.exit(1);
  if (how === 'crash') process.kill(process.pid, 'SIGSEGV');
  if (how === 'blocked') for (;;);
  const held = [];
  for (;;) held.push(new Array(10_000).fill(held.length));
});

export const ledger = {
  name: 'ledger',
  tasks: [runTransfer, runPause, runPoison].map((task) => ({
    definition: task.definition,
    create: () => task,
  })),
};
