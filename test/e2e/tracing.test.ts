import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { eventually } from '../helpers/eventually.ts';
import { insertFeature } from '../helpers/insert-feature.ts';
import { type CollectedSpan, mustStartCollector } from '../helpers/otlp-collector.ts';
import { mustCopyProgram, mustMakeFolder, startImporting } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const tracer = pathToFileURL(join(import.meta.dirname, '..', '..', 'deploy/tracing/opentelemetry.mjs')).href;

/** A feature whose route queries the database, calls another service and enqueues a job that does the same. */
const frontFile = `
import * as z from 'zod';
import { route } from '../../http/route.ts';
import { defineTask, implementTask } from '../../jobs/task.ts';
import type { Feature } from '../feature.ts';

const events = ['traced.job_ran'] as const;
declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}
const payload = z.object({ url: z.string() });
const visit = defineTask({ name: 'visit', payload });
export const traced = {
  name: 'traced',
  events,
  tags: [{ name: 'traced', description: 'Routes of a test.' }],
  tasks: [{
    definition: visit,
    create: ({ httpClient }) => implementTask(visit, async ({ url }, ctx) => {
      ctx.log.info('traced.job_ran');
      await ctx.sql\`select \${'in a job'}::text as value\`;
      await httpClient.fetch(url, { service: 'other' });
      return null;
    }),
  }],
  routes: ({ database, queue, httpClient }) => [route({
    method: 'POST',
    path: '/visits/:id',
    operationId: 'visit',
    summary: 'Visit another service',
    tags: ['traced'],
    auth: 'none',
    params: z.object({ id: z.string() }),
    body: payload,
    responses: { 200: { description: 'Visited', schema: z.unknown() } },
    async handler({ body }) {
      await database.sql\`select \${'a private value'}::text as value\`;
      await httpClient.fetch(body.url, { service: 'other' });
      await queue.enqueue(database.sql, visit, body);
      return 'done';
    },
  })],
} satisfies Feature;
`;

/** Starts another service, which records the headers of its requests. */
async function mustStartService(t: TestContext) {
  const seen: { traceparent: unknown; tracestate: unknown }[] = [];
  const server = createServer(({ headers: { traceparent, tracestate } }, response) => {
    seen.push({ traceparent, tracestate });
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port }: Pick<AddressInfo, 'port'> = Object(server.address());
  return { url: `http://127.0.0.1:${port}/things?token=secret`, seen };
}

test('the SDK of OpenTelemetry records requests, SQL, outgoing calls and jobs of all processes in one trace', async (t) => {
  const [collector, service, folder, databaseUrl] = await Promise.all([
    mustStartCollector(t),
    mustStartService(t),
    mustCopyProgram(t, (sources) => insertFeature(sources, 'traced', frontFile)),
    mustCreateDatabase(t),
  ]);
  const program = startImporting(
    t,
    tracer,
    {
      ...{ APP_WORKERS: '2', APP_TASKS_ENABLED: 'true', APP_TASKS_THREADS: '1' },
      ...{ APP_DATABASE_URL: databaseUrl, APP_DATA_DIR: await mustMakeFolder(t) },
      APP_OUTGOING_ALLOWED_ADDRESSES: '["127.0.0.1"]',
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' },
      OTEL_SERVICE_NAME: 'traced-service',
    },
    folder,
  );
  const client = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
  const response = await fetch(`${await program.ready}/api/v1/visits/7?password=hidden`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      traceparent: `00-${client.traceId}-${client.spanId}-01`,
      tracestate: 'vendor=1',
    },
    body: JSON.stringify({ url: service.url }),
  });
  assert.equal(response.status, 200);

  const spans = () => collector.spans.filter(({ traceId }) => traceId === client.traceId);
  const named = (name: string) => spans().filter((span) => span.name === name);
  await eventually('the spans of the job have arrived', () => named('process visit').length === 1);
  const [server] = named('POST /api/v1/visits/:id');
  const [job] = named('process visit');
  assert.ok(server !== undefined && job !== undefined);
  const childrenOf = (parent: CollectedSpan) =>
    spans().filter(({ parentSpanId }) => parentSpanId === parent.spanId);
  await eventually('those inside have arrived', () => childrenOf(job).length === 2);

  assert.equal(spans().filter(({ kind }) => kind === serverKind).length, 1);
  assert.equal(server.parentSpanId, client.spanId);
  assert.equal(server.resource['service.name'], 'traced-service');
  const { 'strata.request_id': requestId, 'server.port': port, ...rest } = server.attributes;
  assert.deepEqual(rest, {
    ...{ 'http.request.method': 'POST', 'http.route': '/api/v1/visits/:id' },
    ...{ 'http.response.status_code': 200, 'network.protocol.version': '1.1' },
    ...{ 'url.path': '/api/v1/visits/7', 'url.query': 'password=***REDACTED***', 'url.scheme': 'http' },
    ...{ 'client.address': '127.0.0.1', 'server.address': '127.0.0.1' },
  });
  assert.equal(requestId, response.headers.get('x-request-id'));
  assert.equal(port, Number(new URL(await program.ready).port));

  const queries = childrenOf(server).filter(({ attributes }) => 'db.system.name' in attributes);
  assert.deepEqual(
    queries.map(({ attributes }) => attributes['db.operation.name']),
    ['SELECT', 'SELECT'],
  );
  const [query] = queries;
  assert.deepEqual(
    [query?.attributes['db.query.text'], query?.attributes['db.response.returned_rows'], query?.name],
    ['select $1::text as value', 1, `SELECT ${new URL(databaseUrl).pathname.slice(1)}`],
  );
  const calls = spans().filter(({ attributes }) => 'url.full' in attributes);
  assert.deepEqual(
    calls.map(({ parentSpanId, name, attributes }) => [
      ...[parentSpanId, name, attributes['url.full'], attributes['http.response.status_code']],
    ]),
    [server, job].map(({ spanId }) => [spanId, 'GET', service.url.replace(/\?.*/, ''), 200]),
  );
  assert.deepEqual(
    service.seen,
    calls.map(({ spanId }) => ({
      traceparent: `00-${client.traceId}-${spanId}-01`,
      tracestate: 'vendor=1',
    })),
  );

  assert.equal(job.parentSpanId, server.spanId);
  assert.deepEqual(
    [job.attributes['messaging.destination.name'], job.attributes['strata.job.outcome']],
    ['visit', 'returned'],
  );
  assert.notEqual(job.resource['process.pid'], server.resource['process.pid']);
  assert.ok(Number(job.resource['thread.id']) > 0);

  for (const [event, span] of [
    ['http.request.start', server],
    ['http.request.complete', server],
    ['outgoing.completed', server],
    ['traced.job_ran', job],
    ['job.completed', job],
  ] as const) {
    const line = JSON.parse(await program.logged(new RegExp(`"event":"${event}"`)));
    assert.deepEqual([line.trace_id, line.span_id], [span.traceId, span.spanId], event);
  }
  assert.ok(!JSON.stringify(collector.spans).includes('private value'));
});

test('a process that stops sends its last spans first, and a restarted trace is linked to that of the client', async (t) => {
  const collector = await mustStartCollector(t);
  const program = startImporting(t, tracer, {
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '600000' },
    APP_TRACE_CONTEXT: 'restart',
  });
  const client = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
  await fetch(`${await program.ready}/nowhere`, {
    headers: { traceparent: `00-${client.traceId}-${client.spanId}-00` },
  });
  assert.equal(collector.spans.length, 0);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 0);
  const [span] = collector.spans;
  assert.deepEqual([span?.name, span?.attributes['http.response.status_code']], ['GET', 404]);
  assert.notEqual(span?.traceId, client.traceId);
  assert.equal(span?.parentSpanId, undefined);
  assert.deepEqual(
    span?.links?.map(({ traceId, spanId }) => ({ traceId, spanId })),
    [client],
  );
});

const serverKind = 2;
