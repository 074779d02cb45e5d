/** A variant's server as a process of its own: started, waited for, stopped. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { StartError } from '../src/errors.ts';
import { jwtAudience, jwtIssuer, jwtSecret } from './bearer.ts';
import { type Pinning, pinToServer } from './pinning.ts';
import { findScenario, principal } from './scenarios.ts';
import { serverCommand } from './server-command.ts';
import type { Variant } from './variants.ts';
import { host, limit, origin, poolSize } from './workload.ts';

export interface ServerProcessOptions {
  readonly pinning: Pinning | undefined;
  /** The database that the server is given; undefined for a server without one. */
  readonly databaseUrl: string | undefined;
  readonly signal: AbortSignal;
  /** Requests that the server lets one client send. */
  readonly limit?: number;
  /** The descriptor of a file for its log; without one the lines go to the null device. */
  readonly logFile?: number;
  /** Variables beside those that every server is given. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface ServerProcess {
  readonly pid: number;
  /** Where it listens, without a path. */
  readonly url: string;
  /** Milliseconds from the start of the process to its first answer. */
  readonly startMs: number;
  /** Ends the process and waits for it. Idempotent. */
  stop(): Promise<void>;
}

const startDeadlineMs = 20_000;
const stopDeadlineMs = 5_000;

/** Resolves when the server has answered its first request, of the principal scenario. Throws a StartError if it never does. */
export async function startServerProcess(
  variant: Variant,
  options: ServerProcessOptions,
): Promise<ServerProcess> {
  options.signal.throwIfAborted();
  const port = await findFreePort();
  const [file, ...args] = pinToServer(serverCommand(variant), options.pinning);
  const startedAt = performance.now();
  const child = spawn(file, args, {
    // Nothing of the caller's environment: a setting or NODE_OPTIONS of the shell must not change what is measured.
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: String(port),
      BENCH_ORIGIN: origin,
      BENCH_JWT_SECRET: jwtSecret,
      BENCH_JWT_ISSUER: jwtIssuer,
      BENCH_JWT_AUDIENCE: jwtAudience,
      BENCH_LIMIT: String(options.limit ?? limit),
      BENCH_POOL_SIZE: String(poolSize),
      ...(options.databaseUrl !== undefined && { BENCH_DATABASE_URL: options.databaseUrl }),
      ...options.environment,
    },
    stdio: ['ignore', options.logFile ?? 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const ended = once(child, 'close').catch((error: unknown) => {
    complaint += String(error);
  });
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
  });

  const server = {
    pid: child.pid ?? 0,
    url: `http://${host}:${port}`,
    startMs: Number.NaN,
    async stop() {
      if (hasEnded) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs);
      await ended;
      clearTimeout(timer);
    },
  };
  const over = AbortSignal.any([options.signal, AbortSignal.timeout(startDeadlineMs)]);
  const { path, headers } = findScenario(principal);
  while (!(await answers(`${server.url}${path}`, headers, over))) {
    if (!hasEnded && !over.aborted) {
      await wait(2);
      continue;
    }
    await server.stop();
    options.signal.throwIfAborted();
    throw new StartError(`The server of "${variant.name}" did not answer with 200. Its output: ${complaint}`);
  }
  return { ...server, startMs: performance.now() - startedAt };
}

/** Whether there is a 200; a refused connection is none. */
function answers(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, headers, signal }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false)).end();
  });
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, host);
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
