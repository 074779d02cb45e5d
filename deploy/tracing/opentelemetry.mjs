/**
 * Records the operations of the program as OpenTelemetry spans and sends them to a collector (OTLP over HTTP):
 *
 *     npm install @opentelemetry/api@1.9 @opentelemetry/sdk-trace@2 @opentelemetry/resources@2 \
 *       @opentelemetry/exporter-trace-otlp-http@0.223
 *     node --import ./deploy/tracing/opentelemetry.mjs dist/main.js
 *
 * Node loads this file in every process and thread of the program before any other. It only subscribes to the channels that
 * docs/tracing.md describes, so the program does not depend on OpenTelemetry. Change it as you need, for example to add
 * attributes or another exporter.
 *
 * The variables of OpenTelemetry configure it, such as OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME,
 * OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, tracingChannel } from 'node:diagnostics_channel';
import { threadId } from 'node:worker_threads';
import {
  context,
  createTraceState,
  DiagLogLevel,
  diag,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  RandomIdGenerator,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

const { env } = process;

/** The current span of each asynchronous operation. The channels of the program set it: `record`. */
const storage = new AsyncLocalStorage();
const contextManager = {
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (active, work, self, ...args) => storage.run(active, () => work.apply(self, args)),
  bind: (active, target) =>
    typeof target !== 'function'
      ? target
      : function bound(...args) {
          return storage.run(active, () => target.apply(this, args));
        },
  enable: () => contextManager,
  disable: () => contextManager,
};

const random = new RandomIdGenerator();
/** The ids of the span that is being started, if the program has chosen them: they are in its log lines too. */
let chosen;
const idGenerator = {
  generateTraceId: () => chosen?.traceId ?? random.generateTraceId(),
  generateSpanId: () => chosen?.spanId ?? random.generateSpanId(),
};

const provider = new TracerProvider({
  resource: resourceFromAttributes({
    'service.name': 'strata',
    'process.pid': process.pid,
    'thread.id': threadId,
  }).merge(detectResources({ detectors: [envDetector] })),
  sampler: chooseSampler(env.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on', env.OTEL_TRACES_SAMPLER_ARG),
  idGenerator,
  spanProcessors: [
    new BatchSpanProcessor({
      exporter: new OTLPTraceExporter(),
      scheduledDelayMillis: Number(env.OTEL_BSP_SCHEDULE_DELAY ?? 5_000),
      maxQueueSize: Number(env.OTEL_BSP_MAX_QUEUE_SIZE ?? 2_048),
      maxExportBatchSize: Number(env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE ?? 512),
    }),
  ],
});
// Messages of the SDK go to standard error. Standard output is the log of the program.
const print = (...words) => console.error(...words);
diag.setLogger(
  { error: print, warn: print, info: print, debug: print, verbose: print },
  DiagLogLevel[env.OTEL_LOG_LEVEL?.toUpperCase()] ?? DiagLogLevel.ERROR,
);
context.setGlobalContextManager(contextManager);
trace.setGlobalTracerProvider(provider);
const tracer = trace.getTracer('strata');

record('strata.http.request', {
  start(message) {
    const { method, route, path, query, link } = message;
    const options = {
      kind: SpanKind.SERVER,
      attributes: {
        'http.request.method': method,
        ...(route !== undefined && { 'http.route': route }),
        'url.path': path,
        ...(query !== '' && { 'url.query': query }),
        'network.protocol.version': message.httpVersion,
        'strata.request_id': message.requestId,
      },
      links: link === undefined ? [] : [{ context: toSpanContext(link) }],
    };
    return startIdentified(message, `${method}${route === undefined ? '' : ` ${route}`}`, options, {
      parent: remoteParent(message),
    });
  },
  end(span, { status, clientAddress, scheme, host }) {
    // The client has written the host, which may be invalid.
    const [, address, port] = /^(.*?)(?::(\d{1,5}))?$/.exec(host) ?? [];
    span.setAttributes({ 'client.address': clientAddress, 'url.scheme': scheme, 'server.address': address });
    if (port !== undefined) span.setAttribute('server.port', Number(port));
    if (status === undefined) fail(span, 'aborted');
    else span.setAttribute('http.response.status_code', status);
    if (status >= 500) fail(span, String(status));
  },
});

record('strata.db.query', {
  start({ target }) {
    // A query outside of requests and jobs, such as the poll of a runner, would be a trace of a single span.
    if (trace.getSpan(contextManager.active()) === undefined) return undefined;
    const attributes = { 'db.system.name': 'postgresql', 'db.namespace': target.database };
    if (target.host !== undefined) attributes['server.address'] = target.host;
    if (target.port !== undefined) attributes['server.port'] = target.port;
    return tracer.startSpan('postgresql', { kind: SpanKind.CLIENT, attributes });
  },
  end(span, { target, statement, command, rows, error }) {
    span.updateName(
      `${command ?? statement?.split(' ', 1)[0].toUpperCase() ?? 'postgresql'} ${target.database}`,
    );
    if (statement !== undefined) span.setAttribute('db.query.text', statement);
    if (command !== undefined) span.setAttribute('db.operation.name', command);
    if (rows !== undefined) span.setAttribute('db.response.returned_rows', rows);
    if (error === undefined) return;
    // The message of an error of PostgreSQL can contain values.
    if (typeof error.code === 'string') span.setAttribute('db.response.status_code', error.code);
    fail(span, typeOf(error));
  },
});

record('strata.http_client.request', {
  start(message) {
    const { service, method, url, resendCount } = message;
    const { hostname, port, protocol } = new URL(url);
    const attributes = {
      'http.request.method': method,
      'url.full': url,
      'server.address': hostname,
      'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
      'peer.service': service,
      ...(resendCount > 0 && { 'http.request.resend_count': resendCount }),
    };
    return startIdentified(message, method, { kind: SpanKind.CLIENT, attributes });
  },
  end(span, { status, error }) {
    if (status !== undefined) span.setAttribute('http.response.status_code', status);
    if (status >= 400) fail(span, String(status));
    if (error !== undefined) fail(span, typeOf(error));
  },
});

record('strata.jobs.attempt', {
  start(message) {
    const { jobId, task, attempt } = message;
    const attributes = {
      'messaging.system': 'strata',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': task,
      'messaging.message.id': String(jobId),
      'strata.job.attempt': attempt,
    };
    return startIdentified(
      message,
      `process ${task}`,
      { kind: SpanKind.CONSUMER, attributes },
      { parent: remoteParent(message) },
    );
  },
  end(span, { outcome, error }) {
    if (outcome !== undefined) span.setAttribute('strata.job.outcome', outcome);
    if (error !== undefined) fail(span, typeOf(error));
  },
});

subscribe('strata.stop', ({ waitUntil }) => waitUntil(provider.shutdown()));

/**
 * Makes a span of each operation of a channel. `start` returns the span, or undefined for none. It is the current span in all
 * that the operation does, so spans that your code starts there are its children.
 */
function record(name, { start, end }) {
  const spans = new WeakMap();
  const operations = tracingChannel(name);
  operations.start.bindStore(storage, (message) => {
    const span = withoutThrowing(() => start(message));
    if (span === undefined) return contextManager.active();
    spans.set(message, span);
    return trace.setSpan(contextManager.active(), span);
  });
  operations.subscribe({
    asyncEnd(message) {
      const span = spans.get(message);
      if (span === undefined) return;
      withoutThrowing(() => end(span, message));
      span.end();
    },
  });
}

/** Node exits if a subscriber throws: a mistake in this file must cost a span, and not the server. */
function withoutThrowing(work) {
  try {
    return work();
  } catch (error) {
    diag.error('A span was not recorded completely.', error);
    return undefined;
  }
}

/** Starts a span with the ids that the program has chosen, and reports to the program whether it is sampled. */
function startIdentified(message, name, options, { parent = contextManager.active() } = {}) {
  chosen = message.trace;
  try {
    const span = tracer.startSpan(name, options, parent);
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    // The SDK knows only the first flag.
    const flags = (message.trace.flags & ~1) | traceFlags;
    message.trace = { traceId, spanId, flags, state: traceState?.serialize() };
    return span;
  } finally {
    chosen = undefined;
  }
}

/** Returns the context with the parent of an operation; without one, its span is the first of a trace. */
function remoteParent({ parent }) {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, toSpanContext(parent));
}

function toSpanContext({ traceId, spanId, flags, state }) {
  const traceState = state === undefined ? undefined : createTraceState(state);
  return { traceId, spanId, traceFlags: flags, isRemote: true, ...(traceState && { traceState }) };
}

function fail(span, type) {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

function typeOf(error) {
  return String(error?.code ?? error?.name ?? 'unknown');
}

/** Returns the sampler that OTEL_TRACES_SAMPLER names. */
function chooseSampler(name, argument = '1') {
  if (name.startsWith('parentbased_')) {
    return new ParentBasedSampler({ root: chooseSampler(name.slice('parentbased_'.length), argument) });
  }
  if (name === 'always_on') return new AlwaysOnSampler();
  if (name === 'always_off') return new AlwaysOffSampler();
  if (name === 'traceidratio') return new TraceIdRatioBasedSampler(Number(argument));
  throw new Error(`OTEL_TRACES_SAMPLER has no sampler with the name ${name}.`);
}
