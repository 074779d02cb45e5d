/**
 * `npm run prove -- limiter`: the limit is exact over all workers of a host, however many they are.
 *
 * The real program runs with 1, 2 and 4 workers and a limit of 500 requests a minute. Clients of one address send 1,000
 * over many connections, which fall on all workers: exactly 500 must be answered with 200 and all others with 429,
 * whether the requests come as fast as they can, near the limit in bursts, or each on a connection of its own. With a
 * worker killed in the middle, never more than 500 may be; fewer it can be by what the killed one had leased, or had let in
 * without anybody hearing of it.
 */

import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { startProgram } from '../helpers/program.ts';

const limit = 500;
const sent = 2 * limit;
const connections = 40;

interface Counts {
  ok: number;
  refused: number;
  other: number;
}

/** Sends so many requests; `midway` is called when half of the limit has been answered. */
type Way = (url: string, midway: () => void) => Promise<Counts>;

const ways: ReadonlyMap<string, Way> = new Map<string, Way>([
  ['at once, keep-alive', (url, midway) => sendOver(url, connections, true, midway)],
  ['at once, new connections', (url, midway) => sendOver(url, connections, false, midway)],
  ['one by one, then bursts', sendInBursts],
]);

let failed = false;
console.log(row(['workers', 'requests come', 'sent', '200', '429', 'other', '']));
for (const workers of [1, 2, 4]) {
  for (const [name, send] of ways) await prove(workers, name, send, false);
}
const [fastest] = ways.values();
if (fastest !== undefined) await prove(4, 'at once, one worker killed', fastest, true);
process.exit(failed ? 1 : 0);

async function prove(workers: number, name: string, send: Way, withDeath: boolean): Promise<void> {
  const ends: (() => unknown)[] = [];
  const program = startProgram(
    { after: (end: () => unknown) => void ends.push(end) },
    {
      APP_WORKERS: String(workers),
      APP_MANAGEMENT_PORT: '0',
      APP_LOG_LEVEL: 'INFO',
      SECURITY_RATE_LIMIT_PER_MINUTE: String(limit),
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_RATE_LIMIT_PER_HOUR: '100000',
    },
  );
  try {
    const url = await program.ready;
    const lines = workers === 1 ? [] : await Promise.all(pidsOf(program.logged, workers));
    const [victim] = lines;
    const counts = await send(`${url}/api/v1/meta`, () => {
      if (withDeath && victim !== undefined) process.kill(victim, 'SIGKILL');
    });
    const { ok, refused, other } = counts;
    const isExact = withDeath ? ok <= limit : ok === limit && refused === sent - limit && other === 0;
    if (!isExact) failed = true;
    console.log(
      row([workers, name, ok + refused + other, ok, refused, other, isExact ? 'as promised' : 'WRONG']),
    );
  } finally {
    for (const end of ends) await end();
  }
}

/** The process of each worker, as it becomes ready. */
function pidsOf(logged: (pattern: RegExp) => Promise<string>, workers: number): Promise<number>[] {
  return Array.from({ length: workers }, async (_, index) => {
    const line = await logged(new RegExp(`"worker":${index + 1}\\b.*"event":"worker.ready"`));
    return Number(JSON.parse(line).pid);
  });
}

async function sendOver(url: string, width: number, keepAlive: boolean, midway: () => void): Promise<Counts> {
  const counts = { ok: 0, refused: 0, other: 0 };
  let left = sent;
  const client = async () => {
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    for (; left > 0; ) {
      left -= 1;
      count(counts, await statusOf(url, agent));
      if (counts.ok === limit / 2) midway();
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: width }, client));
  return counts;
}

/** Most of the quota one after another, over all connections in turn; the rest and the same again in bursts. */
async function sendInBursts(url: string): Promise<Counts> {
  const counts = { ok: 0, refused: 0, other: 0 };
  const agents = Array.from({ length: connections }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  const send = async (index: number) =>
    count(counts, await statusOf(url, agents[index % connections] ?? new Agent()));
  const single = Math.floor(limit * 0.96);
  for (let index = 0; index < single; index += 1) await send(index);
  for (let index = single; index < sent; index += connections) {
    await Promise.all(
      Array.from({ length: Math.min(connections, sent - index) }, (_, other) => send(index + other)),
    );
  }
  for (const agent of agents) agent.destroy();
  return counts;
}

/** The status of the answer; undefined if there is none. */
async function statusOf(url: string, agent: Agent): Promise<number | undefined> {
  try {
    const [response] = await once(get(url, { agent }), 'response');
    response.resume();
    await once(response, 'end');
    return response.statusCode;
  } catch {
    return undefined;
  }
}

function count(counts: Counts, status: number | undefined): void {
  if (status === 200) counts.ok += 1;
  else if (status === 429) counts.refused += 1;
  else counts.other += 1;
}

function row(cells: readonly (string | number)[]): string {
  const widths = [8, 27, 6, 6, 6, 6];
  return cells.map((cell, index) => String(cell).padEnd(widths[index] ?? 0)).join(' ');
}
