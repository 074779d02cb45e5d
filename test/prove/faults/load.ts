/** A mix of requests, each of a client of its own. Each kind has its own connections, so that none waits for another. */

import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { newClient } from '../shared-limits/requests.ts';

interface Kind {
  readonly method: 'GET' | 'POST';
  readonly path: () => string;
  readonly perSecond: number;
  readonly form?: true;
}

let mails = 0;
const nextMail = () => {
  mails += 1;
  return mails;
};

const kinds = {
  plain: { method: 'GET', path: () => '/api/v1/meta', perSecond: 60 },
  read: { method: 'GET', path: () => '/api/v1/proof/row', perSecond: 30 },
  write: { method: 'POST', path: () => '/api/v1/proof/rows', perSecond: 15 },
  cached: {
    method: 'GET',
    path: () => `/api/v1/proof/cached/${Math.floor(Math.random() * 50)}`,
    perSecond: 20,
  },
  service: { method: 'GET', path: () => '/api/v1/proof/service', perSecond: 10 },
  mail: { method: 'POST', path: () => `/api/v1/proof/mails/${nextMail()}`, perSecond: 5 },
  file: { method: 'POST', path: () => '/api/v1/proof/files', perSecond: 5, form: true },
} satisfies Readonly<Record<string, Kind>>;

export type KindName = keyof typeof kinds;
export const kindNames = Object.keys(kinds).filter((name): name is KindName => name in kinds);

export interface MixedAnswer {
  readonly kind: KindName;
  /** When the request was sent, and how long it took, in milliseconds. */
  readonly at: number;
  readonly ms: number;
  /** 0 if the connection failed. */
  readonly status: number;
  readonly hasRetryAfter: boolean;
}

export interface MixedLoad {
  readonly answers: readonly MixedAnswer[];
  stop(): Promise<void>;
}

const clientsPerKind = 10;
const boundary = 'proof';
const form = [
  `--${boundary}`,
  'content-disposition: form-data; name="file"; filename="x"',
  '',
  'x'.repeat(50_000),
  `--${boundary}--`,
  '',
].join('\r\n');

export function startMixedLoad(url: string): MixedLoad {
  const answers: MixedAnswer[] = [];
  let isStopped = false;
  const loops = kindNames.map(async (kind) => {
    const agent = new Agent({ keepAlive: true, maxSockets: clientsPerKind });
    const loop = async () => {
      while (!isStopped) {
        await delay((Math.random() * 2_000 * clientsPerKind) / kinds[kind].perSecond);
        answers.push(await ask(url, kind, agent));
      }
    };
    await Promise.all(Array.from({ length: clientsPerKind }, loop));
    agent.destroy();
  });
  return {
    answers,
    async stop() {
      isStopped = true;
      await Promise.all(loops);
    },
  };
}

function ask(url: string, kind: KindName, agent: Agent): Promise<MixedAnswer> {
  const { method, path, ...rest }: Kind = kinds[kind];
  const at = performance.now();
  const headers = {
    'x-forwarded-for': newClient(),
    ...(rest.form ? { 'content-type': `multipart/form-data; boundary=${boundary}` } : {}),
  };
  return new Promise((resolve) => {
    const end = (status: number, hasRetryAfter = false) =>
      resolve({ kind, at, ms: performance.now() - at, status, hasRetryAfter });
    const sent = request(`${url}${path()}`, { method, agent, headers }, (response) => {
      response.on('error', () => end(0));
      response.on('end', () => end(response.statusCode ?? 0, 'retry-after' in response.headers));
      response.resume();
    });
    sent.on('error', () => end(0));
    sent.end(rest.form ? form : '');
  });
}
