/** Requests of many clients through nginx. Each client is an address in `X-Forwarded-For`. */

import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

export interface LimitedAnswer {
  /** 0 if the connection failed. */
  readonly status: number;
  /** The node that answered. */
  readonly node: string;
  readonly ms: number;
}

let clients = 0;

/** Returns an address that no request has used. */
export function newClient(): string {
  clients += 1;
  return `198.${18 + (clients >> 16)}.${(clients >> 8) & 255}.${clients & 255}`;
}

export function ask(url: string, client: string, agent: Agent): Promise<LimitedAnswer> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const end = (status: number, node: string) =>
      resolve({ status, node, ms: performance.now() - startedAt });
    get(`${url}/api/v1/meta`, { agent, headers: { 'x-forwarded-for': client } }, (response) => {
      response.on('error', () => end(0, ''));
      response.on('end', () => end(response.statusCode ?? 0, String(response.headers['x-upstream'])));
      response.resume();
    }).on('error', () => end(0, ''));
  });
}

/** Sends requests of one client, `width` at a time. */
export async function sendMany(
  url: string,
  client: string,
  number: number,
  width = number,
): Promise<LimitedAnswer[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: width });
  try {
    return await Promise.all(Array.from({ length: number }, () => ask(url, client, agent)));
  } finally {
    agent.destroy();
  }
}

/** How many were admitted, in total and by each node in turn. */
export function countAdmitted(answers: readonly LimitedAnswer[], hosts: readonly string[]) {
  const admitted = answers.filter(({ status }) => status === 200);
  return {
    total: admitted.length,
    byNode: hosts.map((host) => admitted.filter(({ node }) => node === host).length),
  };
}

export interface Background {
  /** Starts the next period, and returns the answers of the one that ends. */
  cut(): LimitedAnswer[];
  stop(): Promise<void>;
}

/** Sends requests, each of a client that the store does not know, about `perSecond` of them. */
export function startBackground(url: string, perSecond: number): Background {
  const width = 20;
  const agent = new Agent({ keepAlive: true, maxSockets: width });
  let answers: LimitedAnswer[] = [];
  let stopped = false;
  const loop = async () => {
    while (!stopped) {
      answers.push(await ask(url, newClient(), agent));
      await delay((Math.random() * 2000 * width) / perSecond);
    }
  };
  const over = Promise.all(Array.from({ length: width }, loop));
  return {
    cut() {
      const ended = answers;
      answers = [];
      return ended;
    },
    async stop() {
      stopped = true;
      await over;
      agent.destroy();
    },
  };
}

export function nearestRank(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
