/**
 * A steady load of POST requests. Each sends its body in two parts and gets its answer after a few milliseconds, so that at
 * any time there are clients in each state: connecting, sending, waiting, and idle on an open connection.
 */

import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface ClientsOptions {
  /** The origin of the server: scheme, host and port. */
  readonly url: string;
  /** The number of concurrent requests. */
  readonly clients: number;
  /** Whether to reuse connections. Otherwise each request opens a new one. */
  readonly keepAlive: boolean;
  /** The maximum time between two requests of a client. */
  readonly maxPauseMs: number;
}

export interface LoadReport {
  /** The number of requests sent. */
  requests: number;
  /** The number of failed requests, by kind of failure. */
  readonly failures: Map<string, number>;
  /** The processes that answered, and the versions of the program that they ran. */
  readonly pids: Set<number>;
  readonly generations: Set<number>;
}

export interface Load {
  readonly report: LoadReport;
  /** Stops sending, and resolves when all requests have finished. */
  stop(): Promise<LoadReport>;
}

interface Work {
  readonly pid: number;
  readonly generation: number;
  readonly length: number;
}

const bodyBytes = 16 * 1024;
const answerDeadlineMs = 20_000;
/** The maximum time between the two parts of a body. */
const maxGapMs = 20;

export function startClients({ url, clients, keepAlive, maxPauseMs }: ClientsOptions): Load {
  const report: LoadReport = { requests: 0, failures: new Map(), pids: new Set(), generations: new Set() };
  let stopped = false;

  const client = async () => {
    // Each client has its own agent: a shared pool could return a connection that was idle for much longer than the pause.
    const agent = new Agent({ keepAlive, maxSockets: 1 });
    while (!stopped) {
      await count(report, ask(url, agent, 5));
      await delay(Math.random() * maxPauseMs);
    }
    agent.destroy();
  };
  const over = Promise.all(Array.from({ length: clients }, client));
  return {
    report,
    async stop() {
      stopped = true;
      await over;
      return report;
    },
  };
}

/** Sends `number` concurrent requests with answers after `waitMs`, half of them on connections that were used before. */
export async function sendTogether(url: string, number: number, waitMs: number): Promise<LoadReport> {
  const agent = new Agent({ keepAlive: true });
  const report: LoadReport = { requests: 0, failures: new Map(), pids: new Set(), generations: new Set() };
  await Promise.all(Array.from({ length: number / 2 }, () => ask(url, agent, 0)));
  await Promise.all(Array.from({ length: number }, () => count(report, ask(url, agent, waitMs))));
  agent.destroy();
  return report;
}

async function count(report: LoadReport, answer: Promise<Work>): Promise<void> {
  report.requests += 1;
  try {
    const { pid, generation } = await answer;
    report.pids.add(pid);
    report.generations.add(generation);
  } catch (error) {
    const kind = error instanceof Error ? error.message : String(error);
    report.failures.set(kind, (report.failures.get(kind) ?? 0) + 1);
  }
}

/** Sends one request. Rejects with an Error that names the kind of failure. */
function ask(url: string, agent: Agent, waitMs: number): Promise<Work> {
  const body = JSON.stringify({ payload: 'x'.repeat(bodyBytes), waitMs });
  const half = body.length / 2;
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request(`${url}/api/v1/proof`, { method: 'POST', agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', fail);
      response.on('end', () => {
        const work: Work | undefined = response.statusCode === 200 ? JSON.parse(text) : undefined;
        if (work?.length === bodyBytes) resolve(work);
        else reject(new Error(work === undefined ? `status ${response.statusCode}` : 'a wrong answer'));
      });
    });
    const fail = (error: NodeJS.ErrnoException) => {
      reject(
        new Error(`${error.code ?? error.message} on a ${sent.reusedSocket ? 'used' : 'new'} connection`),
      );
    };
    sent.on('error', fail);
    sent.setTimeout(answerDeadlineMs, () => sent.destroy(new Error('no answer')));
    sent.write(body.slice(0, half));
    setTimeout(() => sent.end(body.slice(half)), Math.random() * maxGapMs);
  });
}
