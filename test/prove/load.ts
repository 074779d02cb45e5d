/**
 * Steady load of POST requests, each with a body that arrives in two parts and an answer that takes a few
 * milliseconds, so that at any moment some request is in each of its states: connecting, sending, waiting, or between
 * two requests on an idle connection.
 */

import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface LoadOptions {
  /** Where to send it: scheme, host and port. */
  readonly url: string;
  /** How many requests are under way at once. */
  readonly clients: number;
  /** Use connections again, or open one for each request. */
  readonly keepAlive: boolean;
  /** The longest time between two requests of a client. */
  readonly maxPauseMs: number;
}

export interface LoadReport {
  /** All that were sent. */
  requests: number;
  /** Those without their answer, by what happened instead. */
  readonly failures: Map<string, number>;
  /** The processes that answered, and the versions of the program that they ran. */
  readonly pids: Set<number>;
  readonly generations: Set<number>;
}

export interface Load {
  readonly report: LoadReport;
  /** Sends no further request, and resolves when those under way are over. */
  stop(): Promise<LoadReport>;
}

interface Work {
  readonly pid: number;
  readonly generation: number;
  readonly length: number;
}

const bodyBytes = 16 * 1024;
const answerDeadlineMs = 20_000;
/** The longest time between the two parts of a body. */
const maxGapMs = 20;

export function startLoad({ url, clients, keepAlive, maxPauseMs }: LoadOptions): Load {
  const report: LoadReport = { requests: 0, failures: new Map(), pids: new Set(), generations: new Set() };
  let stopped = false;

  const client = async () => {
    // One each: from a pool, a connection could come that has been idle for much longer than the client has paused.
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

/** Sends `number` requests at once, whose answers take `waitMs`; half of the connections have been used before. */
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

/** One request. Rejects with an Error that names the kind of failure. */
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
