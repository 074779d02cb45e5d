import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { startRuntimeMetrics } from '../../../src/observability/metrics/runtime-metrics.ts';
import { eventually } from '../../helpers/eventually.ts';
import { metricValue } from '../../helpers/metric-value.ts';

function start(t: TestContext) {
  const metrics = createMetrics({ worker: '3' });
  const runtime = startRuntimeMetrics({ metrics, version: '1.2.3' });
  t.after(() => runtime.stop());
  return { metrics, value: (name: string, labels = {}) => metricValue(metrics.snapshot(), name, labels).sum };
}

/** Blocks the event loop. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

it('memory, start time and version of the process are reported', (t) => {
  const { value } = start(t);
  const memory = process.memoryUsage();
  const own = { worker: '3' };
  assert.ok(Math.abs(value('process_resident_memory_bytes', own) / memory.rss - 1) < 0.5);
  assert.ok(value('nodejs_heap_size_used_bytes', own) > 1e6);
  assert.ok(value('nodejs_heap_size_used_bytes', own) < value('nodejs_heap_size_limit_bytes', own));
  assert.ok(value('process_memory_limit_bytes', own) > memory.rss);
  assert.ok(value('process_memory_limit_bytes', own) < 1e15);
  const late = value('process_start_time_seconds', own) - performance.timeOrigin / 1000;
  assert.ok(Math.abs(late) < 2, `${late}`);
  assert.equal(value('build_info', { ...own, version: '1.2.3', node: process.version }), 1);
});

it('the processor time of the process is reported in seconds', (t) => {
  const { value } = start(t);
  const spent = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  for (let look = 0; look < 3; look += 1) {
    const before = spent();
    const reported = value('process_cpu_seconds_total');
    assert.ok(before <= reported + 1e-6 && reported <= spent() + 1e-6, `${before} ${reported} ${spent()}`);
    block(5);
  }
});

it('a blocked event loop increases lag and utilisation', async (t) => {
  const { value } = start(t);
  // Lag is measured between two samples of the clock, so a first sample is needed.
  await eventually('a first look', () => value('nodejs_eventloop_lag_max_seconds') > 0);
  block(200);
  await eventually('the lag is measured', () => value('nodejs_eventloop_lag_max_seconds') > 0.15);
  assert.ok(value('nodejs_eventloop_lag_max_seconds') < 5);
  assert.ok(value('nodejs_eventloop_lag_p50_seconds') < 0.15);
  assert.ok(value('nodejs_eventloop_utilization') > 0.1 && value('nodejs_eventloop_utilization') <= 1);
});

it('garbage collections are counted by kind', async (t) => {
  const { metrics } = start(t);
  const collected = () => metricValue(metrics.snapshot(), 'nodejs_gc_duration_seconds', { kind: 'minor' });
  let kept: unknown[] = [];
  await eventually('a collection', async () => {
    kept = Array.from({ length: 100_000 }, (_, index) => ({ index }));
    await setImmediate();
    return collected().count > 0;
  });
  assert.ok(kept.length > 0 && collected().sum > 0 && collected().sum < 10);
});
