/**
 * `npm run prove -- shared-limits`: the rate limit over three nodes of two workers each behind nginx, with Redis and with
 * PostgreSQL as the shared store.
 *
 *     npm run prove -- shared-limits            10 runs per store, all outages, and the cost of each store
 *     npm run prove -- shared-limits --quick    2 runs per store, and the first three outages of Redis
 *     npm run prove -- shared-limits --outages=postgres    only the outages of one store
 *
 * - Exact: 3,000 concurrent requests of one client with a limit of 500. Exactly 500 must be admitted, in each run.
 * - Outages: while about 200 requests per second of other clients arrive, the store fails and comes back. No request may fail,
 *   and the p99 of the time of all requests may rise by at most the deadline of the store over the time around the outage. A
 *   client sends half of its limit before the outage, twice its limit to each node during it, and twice its limit after it.
 *   The table has what was admitted.
 * - Cost: shared-limits/cost.ts.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { mustCopyProgram, mustMakeFolder } from '../helpers/program.ts';
import { startRedis } from '../helpers/redis.ts';
import { openProofDatabase } from './jobs/database.ts';
import { createProof } from './proof.ts';
import { proveCost } from './shared-limits/cost.ts';
import { clientQuota, type Nodes, nodeCount, startNodes } from './shared-limits/nodes.ts';
import { type Outage, postgresOutages, redisOutages } from './shared-limits/outages.ts';
import {
  countAdmitted,
  type LimitedAnswer,
  nearestRank,
  newClient,
  sendMany,
  startBackground,
} from './shared-limits/requests.ts';

const quick = process.argv.includes('--quick');
const only = process.argv.find((word) => word.startsWith('--outages='))?.slice('--outages='.length);
const runs = quick ? 2 : 10;
const sent = 3_000;
/** The default of SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS. */
const deadlineMs = 25;
/** The allowance for other work on the machine, by which the p99 varies from second to second. */
const noiseMs = 25;
const outageMs = quick ? 1_500 : 4_000;
/** Longer than any answer takes on a busy machine: the exact runs are about the count, and not about the deadline. */
const patientMs = 10_000;

const { failures, atEnd, run } = createProof();
await run(prove);

async function prove(): Promise<void> {
  const program = await mustCopyProgram(atEnd);
  const redis = await startRedis();
  atEnd.after(redis.stop);
  const database = await openProofDatabase();
  atEnd.after(database.stop);
  const stores = [
    {
      name: 'redis',
      env: { SECURITY_REDIS_ENABLED: 'true', SECURITY_REDIS_URL: redis.url },
      outages: redisOutages(redis),
    },
    {
      name: 'postgres',
      env: { SECURITY_RATE_LIMIT_STORE: 'postgres', APP_DATABASE_URL: database.url },
      outages: postgresOutages(database),
    },
  ];
  for (const { name, env, outages } of stores) {
    if (only !== undefined && only !== name) continue;
    const patient = { ...env, SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS: String(patientMs) };
    if (only === undefined) await withNodes(program, patient, (nodes) => proveExact(name, nodes));
    if (quick && name !== 'redis') continue;
    await withNodes(program, env, async (nodes) => {
      console.log(
        `\n${name}: outages of ${outageMs} ms, times in ms; admitted by each node and in total, of a limit of ${clientQuota}`,
      );
      // New processes answer late until the compiler has seen some requests.
      const warmUp = startBackground(nodes.url, 400);
      await pause(2_000);
      await warmUp.stop();
      const rows = [];
      for (const outage of quick ? outages.slice(0, 3) : outages)
        rows.push(await proveOutage(name, nodes, outage));
      console.table(rows);
    });
  }
  if (only !== undefined) return;
  failures.push(...(await proveCost({ redis: redis.url, database: database.url, program, quick })));
}

async function withNodes(
  program: string,
  env: Readonly<Record<string, string>>,
  work: (nodes: Nodes) => Promise<void>,
): Promise<void> {
  const own: (() => unknown)[] = [];
  const folder = await mustMakeFolder(atEnd);
  const nodesEnd = { after: (end: () => unknown) => void own.unshift(end) };
  try {
    // The database has been migrated, and three nodes that start together would wait for each other.
    await work(
      await startNodes({ folder, program, env: { APP_DATABASE_MIGRATE: 'false', ...env }, atEnd: nodesEnd }),
    );
  } finally {
    for (const end of own) await end();
  }
}

async function proveExact(store: string, nodes: Nodes): Promise<void> {
  const { url, hosts, sum } = nodes;
  let exact = 0;
  for (let run = 1; run <= runs; run += 1) {
    const answers = await sendMany(url, newClient(), sent);
    const { total, byNode } = countAdmitted(answers, hosts);
    const rejected = answers.filter(({ status }) => status === 429).length;
    const isExact = total === clientQuota && rejected === sent - clientQuota;
    if (isExact) exact += 1;
    else failures.push(`${store}, run ${run}: ${total} admitted and ${rejected} rejected of ${sent}.`);
    console.log(`${store}, run ${run}: ${total} of ${sent} admitted (${byNode.join(' + ')})`);
  }
  console.log(
    `${store}: exactly ${clientQuota} in ${exact} of ${runs} runs; ${await sum('rate_limit_fallback_total')} decided by a node alone`,
  );
}

async function proveOutage(store: string, nodes: Nodes, { name, losesPermits, fail, recover }: Outage) {
  const { url, hosts } = nodes;
  const client = newClient();
  await nodes.untilShared();
  const background = startBackground(url, 200);
  const around: LimitedAnswer[] = [];
  /** While the client sends its bursts: not measured, but none of them may fail. */
  const meanwhile: LimitedAnswer[] = [];
  await pause(outageMs / 2);
  around.push(...background.cut());
  const before = countAdmitted(await sendMany(url, client, clientQuota / 2, 20), hosts);
  meanwhile.push(...background.cut());

  const failing = fail();
  await pause(outageMs);
  const within = background.cut();
  const during = countAdmitted(await sendMany(url, client, 2 * clientQuota * nodeCount, 40), hosts);
  const readiness = await nodes.readiness();
  meanwhile.push(...background.cut());

  await failing;
  await recover();
  const returnMs = await nodes.untilShared();
  around.push(...background.cut());
  const after = countAdmitted(await sendMany(url, client, 2 * clientQuota, 40), hosts);
  meanwhile.push(...background.cut());
  await pause(outageMs / 2);
  around.push(...background.cut());
  await background.stop();

  const all = [...around, ...within, ...meanwhile];
  const failed = all.filter(({ status }) => status !== 200).length;
  const what = `${store} ${name}`;
  if (failed > 0) failures.push(`${what}: ${failed} of ${all.length} requests failed.`);
  const p99 = (answers: readonly LimitedAnswer[]) =>
    nearestRank(
      answers.map(({ ms }) => ms),
      0.99,
    );
  const [normal, outage] = [p99(around), p99(within)];
  if (outage > normal + deadlineMs + noiseMs) {
    failures.push(`${what}: the p99 is ${outage.toFixed(0)} ms, and ${normal.toFixed(0)} ms around it.`);
  }
  for (const { status } of readiness)
    if (status !== 200 && store === 'redis') failures.push(`${what}: readiness is ${status}.`);
  const total = before.total + during.total + after.total;
  // Once in the store before, once on each node, and once more in a store that came back empty.
  const most = clientQuota * (nodeCount + (losesPermits ? 1 : 0)) + clientQuota;
  if (total > most) failures.push(`${what}: ${total} admitted, more than ${most}.`);
  return {
    outage: name,
    requests: all.length,
    failed,
    'p99 around': Math.round(normal),
    'p99 within': Math.round(outage),
    'max within': Math.round(Math.max(...within.map(({ ms }) => ms))),
    'readiness within': [...new Set(readiness.map((each) => `${each.status} ${each.store}`))].join(', '),
    'return ms': Math.round(returnMs),
    before: before.total,
    within: `${during.byNode.join(' + ')}`,
    after: after.total,
    total,
  };
}
