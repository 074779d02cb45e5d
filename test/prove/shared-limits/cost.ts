/**
 * Measures the cost of a request with each store: processor time of the server process, and the time until the answer.
 *
 * The real program with one process answers with each store. Beside it, a bare server (bench/limiters/server.mjs) answers with
 * the limiter of this project, with rate-limiter-flexible and, on Fastify, with @fastify/rate-limit, so that the price of each
 * limiter is its server minus the same server without one. All of them are measured in turns, and a figure is the median over
 * the rounds: other work on the machine disturbs all alike.
 */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import * as z from 'zod';
import { readUsage } from '../../../bench/process-usage.ts';
import { startProgram } from '../../helpers/program.ts';
import { nearestRank } from './requests.ts';

export interface CostOptions {
  readonly redis: string;
  readonly database: string;
  /** The folder of the built program. */
  readonly program: string;
  readonly quick: boolean;
}

interface Contestant {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly path: string;
  /** One per round. */
  readonly cpu: number[];
  readonly times: number[];
}

const connections = 50;
const addresses = 1_000;
const maxRatio = 1.5;
const bench = join(import.meta.dirname, '../../../bench');

const limiters = [
  'none',
  'Strata, memory',
  'Strata, Redis',
  'rate-limiter-flexible, memory',
  'rate-limiter-flexible, Redis',
  'Fastify, none',
  '@fastify/rate-limit, memory',
  '@fastify/rate-limit, Redis',
];

/** Measures and prints the tables. Returns what did not reach its target. */
export async function proveCost(options: CostOptions): Promise<string[]> {
  const ends: (() => unknown)[] = [];
  try {
    const contestants = await startAll(options, { after: (end) => void ends.unshift(end) });
    const [rounds, requests] = options.quick ? [3, 3_000] : [5, 6_000];
    // The compiler needs thousands of requests.
    for (const each of contestants) await load(each, 2 * requests);
    for (let round = 0; round < rounds; round += 1) {
      for (const each of contestants) await measure(each, requests);
    }
    return report(contestants, options.quick);
  } finally {
    for (const end of ends) await end();
  }
}

interface AtEnd {
  after(end: () => unknown): void;
}

async function startAll(
  { redis, database, program, quick }: CostOptions,
  atEnd: AtEnd,
): Promise<Contestant[]> {
  const stores = [
    { name: 'program, memory', env: {} },
    { name: 'program, redis', env: { SECURITY_REDIS_ENABLED: 'true', SECURITY_REDIS_URL: redis } },
    {
      name: 'program, postgres',
      env: { SECURITY_RATE_LIMIT_STORE: 'postgres', APP_DATABASE_URL: database },
    },
  ];
  const contestants: Contestant[] = [];
  for (const { name, env } of stores) {
    const started = startProgram(
      atEnd,
      {
        APP_LOG_LEVEL: 'INFO',
        APP_DATABASE_MIGRATE: 'false',
        SECURITY_TRUST_PROXY_HEADERS: 'true',
        SECURITY_RATE_LIMIT_PER_MINUTE: '900000',
        SECURITY_RATE_LIMIT_PER_HOUR: '900000',
        SECURITY_RATE_LIMIT_STORE_TIMEOUT_MS: '10000',
        ...env,
      },
      [],
      program,
    );
    const { port } = new URL(await started.ready);
    contestants.push(create(name, started.process.pid, Number(port), '/api/v1/meta'));
  }
  installPeers();
  const names = quick ? limiters.filter((name) => !name.endsWith(', memory')) : limiters;
  for (const name of names) {
    const args = ['--import', import.meta.resolve('tsx'), join(bench, 'limiters/server.mjs'), name, redis];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    atEnd.after(() => child.kill());
    const [message] = await once(child, 'message');
    contestants.push(create(name, child.pid, z.object({ port: z.int() }).parse(message).port, '/'));
  }
  return contestants;
}

function create(name: string, pid: number | undefined, port: number, path: string): Contestant {
  if (pid === undefined) throw new Error(`${name} did not start.`);
  return { name, pid, port, path, cpu: [], times: [] };
}

function installPeers(): void {
  if (existsSync(join(bench, 'node_modules/ioredis'))) return;
  // npm hands engine-strict on from the project, and two packages of other frameworks need a newer Node for parts that are not measured.
  const args = [
    'ci',
    '--prefix',
    bench,
    '--engine-strict=false',
    '--silent',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
  ];
  if (spawnSync('npm', args, { stdio: 'inherit' }).status !== 0) throw new Error('npm ci failed for bench/.');
}

async function measure(contestant: Contestant, requests: number): Promise<void> {
  const { pid, cpu, times } = contestant;
  const before = readUsage(pid).cpuSeconds;
  times.push(...(await load(contestant, requests)));
  cpu.push(((readUsage(pid).cpuSeconds - before) * 1e6) / requests);
}

/** Sends requests over keep-alive connections, one after the other on each. Resolves with their times in ms. */
async function load({ name, port, path }: Contestant, requests: number): Promise<number[]> {
  const times: number[] = [];
  let left = requests;
  const client = async (socket: Socket) => {
    await once(socket, 'connect');
    socket.setNoDelay(true).setEncoding('latin1');
    while (left > 0) {
      left -= 1;
      const client = `203.0.${left % 4}.${(left >> 2) % (addresses / 4)}`;
      const startedAt = performance.now();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ${client}\r\n\r\n`);
      const status = await readAnswer(socket);
      if (status !== '200') throw new Error(`${name} answered ${status}.`);
      times.push(performance.now() - startedAt);
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, () => client(connect(port, '127.0.0.1'))));
  return times;
}

/** Reads an answer that states its length, and returns its status. */
function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const end = () => reject(new Error(`The connection ended after ${JSON.stringify(text)}.`));
    const read = (part: string) => {
      text += part;
      const bodyAt = text.indexOf('\r\n\r\n') + 4;
      if (bodyAt < 4) return;
      const [, length = ''] = /^content-length: (\d+)/im.exec(text) ?? [];
      if (text.length < bodyAt + Number(length)) return;
      socket.off('data', read).off('close', end);
      resolve(text.slice(9, 12));
    };
    socket.on('data', read).once('close', end);
  });
}

function report(contestants: readonly Contestant[], quick: boolean): string[] {
  const cpuOf = (name: string) => nearestRank(contestants.find((each) => each.name === name)?.cpu ?? [], 0.5);
  const bareOf = (name: string) => (/fastify/i.test(name) ? 'Fastify, none' : 'none');
  console.log(
    '\ncost of a request: processor time of the server process in µs, times until the answer in ms',
  );
  console.table(
    contestants.map(({ name, times }) => ({
      server: name,
      'CPU µs': Math.round(cpuOf(name)),
      'of the limiter': name.startsWith('program') ? '' : Math.round(cpuOf(name) - cpuOf(bareOf(name))),
      'x memory': name.startsWith('program') ? (cpuOf(name) / cpuOf('program, memory')).toFixed(2) : '',
      p50: nearestRank(times, 0.5).toFixed(1),
      p99: nearestRank(times, 0.99).toFixed(1),
    })),
  );
  const failures: string[] = [];
  const ratio = cpuOf('program, redis') / cpuOf('program, memory');
  if (!(ratio <= maxRatio)) {
    failures.push(
      `With Redis, a request costs ${ratio.toFixed(2)} times that with memory, more than ${maxRatio}.`,
    );
  }
  // The prices are small differences, which a short run does not measure well enough.
  if (quick) return failures;
  const priceOf = (name: string) => cpuOf(name) - cpuOf(bareOf(name));
  for (const other of ['rate-limiter-flexible, Redis', '@fastify/rate-limit, Redis']) {
    if (priceOf('Strata, Redis') < priceOf(other)) continue;
    failures.push(
      `The limiter with Redis costs ${priceOf('Strata, Redis').toFixed(0)} µs, and ${other} ${priceOf(other).toFixed(0)} µs.`,
    );
  }
  return failures;
}
