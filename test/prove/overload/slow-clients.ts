/** Runs `slowhttptest` against a server in one of its modes, beside an honest client. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from '../../helpers/http-client.ts';

export interface SlowMode {
  readonly name: string;
  readonly flags: readonly string[];
  readonly path: string;
  /** The time after which the server must have closed all connections, in seconds; undefined if the client closes them. */
  readonly closedAfter: number | undefined;
}

export interface SlowResult {
  /** The maximum number of open connections. */
  readonly opened: number;
  /** From the opening of the last connection until all are closed, in seconds. */
  readonly closedSeconds: number;
  readonly honest: number;
  readonly p99Ms: number;
  readonly failed: number;
  /** How much the memory of the server grew at most, in MB. */
  readonly grownMb: number;
}

const sockets = 500;
const everyMs = 50;

export async function runSlowMode(
  port: number,
  pid: number,
  { flags, path }: SlowMode,
  seconds: number,
): Promise<SlowResult> {
  const before = residentMb(pid);
  const tool = spawn(
    'slowhttptest',
    [
      '-c',
      String(sockets),
      '-r',
      '250',
      '-l',
      String(seconds),
      '-v',
      '0',
      '-p',
      '3',
      ...flags,
      '-u',
      `http://127.0.0.1:${port}${path}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = once(tool, 'close');
  const latencies: number[] = [];
  let failed = 0;
  let opened = 0;
  let openedAt = 0;
  let closedAt = 0;
  let maxMb = before;
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    const startedAt = performance.now();
    const answer = await request(port, { path: '/api/v1/rows/7' }).catch(() => undefined);
    if (answer?.status === 200) latencies.push(performance.now() - startedAt);
    else failed += 1;
    const open = openConnections(port);
    const now = performance.now();
    if (open > opened) {
      opened = open;
      openedAt = now;
    }
    if (open > 0) closedAt = 0;
    else if (opened > 0 && closedAt === 0) closedAt = now;
    maxMb = Math.max(maxMb, residentMb(pid));
    await delay(everyMs);
  }
  if (closedAt === 0) closedAt = Number.POSITIVE_INFINITY;
  tool.kill('SIGINT');
  await ended;
  latencies.sort((a, b) => a - b);
  return {
    opened,
    closedSeconds: (closedAt - openedAt) / 1000,
    honest: latencies.length,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? Number.POSITIVE_INFINITY,
    failed,
    grownMb: maxMb - before,
  };
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Returns the number of established connections to a port, without those of the honest client, which are closed by then. */
function openConnections(port: number): number {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .filter((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      return state === '01' && local.endsWith(suffix);
    }).length;
}
