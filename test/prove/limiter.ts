/**
 * `npm run prove -- limiter`: the rate limit is exact over any number of workers of a host.
 *
 * The real program runs with 1, 2 and 4 workers and a limit of 500 requests per minute. Clients of one address send 1,000
 * requests over many connections to all workers: exactly 500 must be answered with 200 and all others with 429, whether the
 * requests are sent as fast as possible, in bursts near the limit, or each on a new connection. If a worker is killed in
 * between, at most 500 may be answered with 200; permits that the killed worker had leased, or used without a report, are
 * lost.
 */

import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { startProgram } from '../helpers/program.ts';

const limit = 500;
const sent = 2 * limit;
const connections = 40;

interface Counts {
  ok: number;
  limited: number;
  other: number;
}

/** Sends the requests; calls `midway` when half of the limit has been answered. */
type Pattern = (url: string, midway: () => void) => Promise<Counts>;

const patterns: ReadonlyMap<string, Pattern> = new Map<string, Pattern>([
  ['at once, keep-alive', (url, midway) => sendOver(url, connections, true, midway)],
  ['at once, new connections', (url, midway) => sendOver(url, connections, false, midway)],
  ['one by one, then bursts', sendInBursts],
]);

let failed = false;
console.log(row(['workers', 'pattern', 'sent', '200', '429', 'other', '']));
for (const workers of [1, 2, 4]) {
  for (const [name, send] of patterns) await prove(workers, name, send, false);
}
const [fastest] = patterns.values();
if (fastest !== undefined) await prove(4, 'at once, one worker killed', fastest, true);
process.exit(failed ? 1 : 0);

async function prove(workers: number, name: string, send: Pattern, withDeath: boolean): Promise<void> {
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
    const { ok, limited, other } = counts;
    const isExact = withDeath ? ok <= limit : ok === limit && limited === sent - limit && other === 0;
    if (!isExact) failed = true;
    console.log(row([workers, name, ok + limited + other, ok, limited, other, isExact ? 'ok' : 'FAILED']));
  } finally {
    for (const end of ends) await end();
  }
}

/** Returns the process id of each worker when it becomes ready. */
function pidsOf(logged: (pattern: RegExp) => Promise<string>, workers: number): Promise<number>[] {
  return Array.from({ length: workers }, async (_, index) => {
    const line = await logged(new RegExp(`"worker":${index + 1}\\b.*"event":"process.ready"`));
    return Number(JSON.parse(line).pid);
  });
}

async function sendOver(url: string, width: number, keepAlive: boolean, midway: () => void): Promise<Counts> {
  const counts = { ok: 0, limited: 0, other: 0 };
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

/** Sends most of the quota one by one over all connections in turn, and the rest, and once more the quota, in bursts. */
async function sendInBursts(url: string): Promise<Counts> {
  const counts = { ok: 0, limited: 0, other: 0 };
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

/** Returns the status of the answer; undefined if there is none. */
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
  else if (status === 429) counts.limited += 1;
  else counts.other += 1;
}

function row(cells: readonly (string | number)[]): string {
  const widths = [8, 27, 6, 6, 6, 6];
  return cells.map((cell, index) => String(cell).padEnd(widths[index] ?? 0)).join(' ');
}
