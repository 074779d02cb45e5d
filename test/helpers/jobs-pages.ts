import type { TestContext } from 'node:test';
import type { Database } from '../../src/db/database.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { createManagementServer, type ManagementOptions } from '../../src/management/server.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from './captured-log.ts';
import { request } from './http-client.ts';

export const managementToken = 'correct-horse-battery';

export interface JobsPagesOptions {
  /** Undefined while the program starts, null if there is none. */
  readonly database: Database | null | undefined;
  readonly token?: string;
  readonly loopback?: boolean;
  /** The token that a local server has created. */
  readonly localToken?: string;
  readonly alerts?: ManagementOptions['alerts'];
}

/** Opens a management port with the jobs dashboard. It closes after the test. */
export async function mustOpenJobsPages(t: TestContext, options: JobsPagesOptions) {
  const { database, token = '', loopback = true, localToken = null } = options;
  const captured = captureLog();
  const server = createManagementServer({
    fleet: {
      reports: () => [],
      readiness: async () => ({ ready: true, detail: 'All is well.' }),
      collectMetrics: async () => createMetrics().snapshot(),
    },
    log: captured.log,
    token,
    host: loopback ? '127.0.0.1' : '0.0.0.0',
    allowedHosts: ['jobs.internal'],
    ...(options.alerts === undefined ? {} : { alerts: options.alerts }),
    jobs: {
      source: { database: () => database, queue: createQueue({ definitions: [] }), localToken },
      loopback,
    },
  });
  const port = await server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  const ask = (method: string, path: string, shown = '', headers = {}) =>
    request(port, {
      method,
      path,
      headers: { ...(shown === '' ? {} : { authorization: `Bearer ${shown}` }), ...headers },
    });
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    log: captured,
    close: () => server.close(),
    read: (path: string, shown?: string, headers?: object) =>
      ask('GET', `/jobs/data/${path}`, shown, headers),
    change: (path: string, shown?: string, headers?: object) =>
      ask('POST', `/jobs/data/${path}`, shown, headers),
    page: (path: string) => ask('GET', path),
  };
}
