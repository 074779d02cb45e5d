import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFleetMetrics } from '../../src/cluster/fleet-metrics.ts';
import type { ProcessState } from '../../src/cluster/process-state.ts';
import type { SupervisedProcess } from '../../src/cluster/supervised-process.ts';
import { createMetrics, type MetricsSnapshot } from '../../src/observability/metrics/metrics.ts';

const never = new Promise<never>(() => {});

/** A worker that forwards the requests for its metrics. */
function workerOf(
  id: number,
  onScrape: (id: number) => void,
  lastHeartbeatAt = performance.now(),
): SupervisedProcess {
  const state: ProcessState = 'ready';
  return {
    ...{ id, generation: 1, state, lastHeartbeatAt, started: never, ended: never },
    report: () => assert.fail('the metrics read no report'),
    send: (message) => message.kind === 'scrape' && setImmediate(onScrape, message.id),
    drain: () => {},
    kill: () => {},
  };
}

/** The metrics of a worker: a counter of requests, and a gauge, which has no meaning after its exit. */
function snapshotOf(requests: number): MetricsSnapshot {
  const metrics = createMetrics();
  metrics.counter({ name: 'requests_total', help: 'Requests.' }).of().add(requests);
  metrics.gauge({ name: 'in_flight', help: 'Requests in progress.' }).of().set(1);
  return metrics.snapshot();
}

const numberOf = (snapshot: MetricsSnapshot, name: string) =>
  snapshot.find((family) => family.name === name)?.series[0]?.numbers[0];

test('a collection sums the answers of all workers as soon as the last one arrives', async () => {
  const workers: SupervisedProcess[] = [1, 2].map((id) => {
    const worker: SupervisedProcess = workerOf(id, (round) => metrics.receive(worker, round, snapshotOf(id)));
    return worker;
  });
  const metrics = createFleetMetrics(createMetrics(), () => workers);
  const collected = await metrics.collect();
  assert.equal(numberOf(collected, 'requests_total'), 3);
  assert.equal(numberOf(collected, 'in_flight'), 2);
});

test('a worker that does not answer in time is represented by its last answer', async () => {
  const blocked = workerOf(1, () => {});
  const metrics = createFleetMetrics(createMetrics(), () => [blocked]);
  metrics.receive(blocked, 0, snapshotOf(7));
  assert.equal(numberOf(await metrics.collect(), 'requests_total'), 7);
});

test('a worker that missed a collection is not asked again before its next heartbeat', async () => {
  let asked = 0;
  const blocked = workerOf(1, () => {
    asked += 1;
  });
  const metrics = createFleetMetrics(createMetrics(), () => [blocked]);
  metrics.receive(blocked, 0, snapshotOf(7));
  await metrics.collect();
  assert.equal(numberOf(await metrics.collect(), 'requests_total'), 7);
  await new Promise(setImmediate);
  assert.equal(asked, 1);
});

test('the counters of ended workers are kept, and their gauges are dropped', async () => {
  const living: SupervisedProcess[] = [];
  const metrics = createFleetMetrics(createMetrics(), () => living);
  for (const id of [1, 2, 3]) {
    const worker = workerOf(id, () => {});
    metrics.receive(worker, 0, snapshotOf(10));
    metrics.archive(worker);
  }
  const collected = await metrics.collect();
  assert.equal(numberOf(collected, 'requests_total'), 30);
  assert.equal(numberOf(collected, 'in_flight'), undefined);
});

test('a worker that exits during a collection does not delay it', async () => {
  const dying: SupervisedProcess = workerOf(1, () => metrics.archive(dying));
  const metrics = createFleetMetrics(createMetrics(), () => [dying]);
  metrics.receive(dying, 0, snapshotOf(5));
  assert.equal(numberOf(await metrics.collect(), 'requests_total'), 5);
});

test('concurrent collections share one round', async () => {
  let rounds = 0;
  const worker: SupervisedProcess = workerOf(1, (id) => {
    rounds += 1;
    metrics.receive(worker, id, snapshotOf(1));
  });
  const metrics = createFleetMetrics(createMetrics(), () => [worker]);
  await Promise.all([metrics.collect(), metrics.collect()]);
  assert.equal(rounds, 1);
  await metrics.collect();
  assert.equal(rounds, 2);
});
