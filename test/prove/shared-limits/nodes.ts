/** Three nodes of two workers each behind nginx, which share one store for their rate limit. */

import { request } from '../../helpers/http-client.ts';
import { type Program, startProgram } from '../../helpers/program.ts';
import { startNginx } from '../nginx.ts';
import { until } from '../until.ts';

export const nodeCount = 3;
export const clientQuota = 500;

const workers = 2;
const startMs = 120_000;

export interface Nodes {
  /** The origin of nginx. */
  readonly url: string;
  /** The origins of the nodes, as nginx names them in `X-Upstream`. */
  readonly hosts: readonly string[];
  /** Returns the sum of a metric over all workers of all nodes. */
  sum(metric: string): Promise<number>;
  /** Resolves with the number of milliseconds until all workers count in the shared store again. */
  untilShared(): Promise<number>;
  /** Returns the status of the readiness of each node, and the status of the store in it. */
  readiness(): Promise<{ readonly status: number; readonly store: string }[]>;
}

export interface NodesOptions {
  /** Where the files of nginx are. */
  readonly folder: string;
  /** The folder of the built program. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly atEnd: { after(end: () => unknown): void };
}

export async function startNodes({ folder, program, env, atEnd }: NodesOptions): Promise<Nodes> {
  const programs = Array.from({ length: nodeCount }, () => start(atEnd, program, env));
  const urls = await Promise.all(programs.map(({ ready }) => ready));
  const ports = await Promise.all(
    programs.map(async ({ management }) => Number(new URL(await management).port)),
  );
  const proxy = await startNginx(folder, urls, 60);
  atEnd.after(proxy.stop);

  const series = async (metric: string): Promise<number[]> => {
    const pages = await Promise.all(ports.map((port) => request(port, { path: '/metrics' })));
    const line = new RegExp(`^${metric}(?:\\{[^}]*\\})? ([\\d.e+-]+)$`, 'gm');
    return pages.flatMap(({ text }) => [...text.matchAll(line)].map(([, value]) => Number(value)));
  };
  const isShared = async () => {
    const up = await series('rate_limit_store_up');
    return up.length === nodeCount * workers && up.every((value) => value === 1);
  };
  await until('all workers count in the shared store', isShared, startMs);
  return {
    url: proxy.url,
    hosts: urls.map((url) => new URL(url).host),
    sum: async (metric) => (await series(metric)).reduce((total, value) => total + value, 0),
    async untilShared() {
      const startedAt = performance.now();
      await until('all workers count in the shared store again', isShared, startMs);
      return performance.now() - startedAt;
    },
    readiness: () =>
      Promise.all(
        urls.map(async (url) => {
          const { status, json } = await request(Number(new URL(url).port), {
            path: '/api/v1/health/ready',
          });
          return { status, store: String(json.checks?.rate_limit_store?.status) };
        }),
      ),
  };
}

function start(atEnd: NodesOptions['atEnd'], folder: string, env: Readonly<Record<string, string>>): Program {
  return startProgram(
    atEnd,
    {
      APP_WORKERS: String(workers),
      APP_MANAGEMENT_PORT: '0',
      APP_LOG_LEVEL: 'INFO',
      APP_DISABLED_LAYERS: 'request-log',
      APP_KEEP_ALIVE_SECONDS: '120',
      APP_SHUTDOWN_GRACE_SECONDS: '5',
      SECURITY_TRUST_PROXY_HEADERS: 'true',
      SECURITY_RATE_LIMIT_PER_MINUTE: String(clientQuota),
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_RATE_LIMIT_PER_HOUR: '1000000',
      ...env,
    },
    [],
    folder,
  );
}
