import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFleetMetrics } from '../../src/cluster/fleet-metrics.ts';
import type { SupervisedWorker } from '../../src/cluster/supervised-worker.ts';
import type { WorkerState } from '../../src/cluster/worker-state.ts';
import { createMetrics, type MetricsSnapshot } from '../../src/observability/metrics/metrics.ts';

const never = new Promise<never>(() => {});

/** A worker that passes on what it is asked. */
function workerOf(id: number, onScrape: (id: number) => void, heardAt = performance.now()): SupervisedWorker {
  const state: WorkerState = 'ready';
  return {
    ...{ id, generation: 1, state, heardAt, started: never, ended: never },
    report: () => assert.fail('nobody asks'),
    tell: (message) => message.kind === 'scrape' && setImmediate(onScrape, message.id),
    drain: () => {},
    kill: () => {},
  };
}

/** What a worker has counted so far: requests, and a gauge that says nothing once it is gone. */
function snapshotOf(requests: number): MetricsSnapshot {
  const metrics = createMetrics();
  metrics.counter({ name: 'requests_total', help: 'Requests.' }).of().add(requests);
  metrics.gauge({ name: 'in_flight', help: 'Requests under way.' }).of().set(1);
  return metrics.snapshot();
}

const numberOf = (snapshot: MetricsSnapshot, name: string) =>
  snapshot.find((family) => family.name === name)?.series[0]?.numbers[0];

test('the answers of all workers are added up as soon as the last one is there', async () => {
  const workers: SupervisedWorker[] = [1, 2].map((id) => {
    const worker: SupervisedWorker = workerOf(id, (round) => metrics.receive(worker, round, snapshotOf(id)));
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

test('one that has been silent for long is not even asked', async () => {
  const blocked = workerOf(1, () => assert.fail('it was asked'), performance.now() - 60_000);
  const metrics = createFleetMetrics(createMetrics(), () => [blocked]);
  metrics.receive(blocked, 0, snapshotOf(7));
  assert.equal(numberOf(await metrics.collect(), 'requests_total'), 7);
});

test('what ended workers had counted stays, but not what their gauges said', async () => {
  const living: SupervisedWorker[] = [];
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

test('a worker that ends while it is asked keeps nobody waiting', async () => {
  const dying: SupervisedWorker = workerOf(1, () => metrics.archive(dying));
  const metrics = createFleetMetrics(createMetrics(), () => [dying]);
  metrics.receive(dying, 0, snapshotOf(5));
  assert.equal(numberOf(await metrics.collect(), 'requests_total'), 5);
});

test('those who ask at the same time share one round', async () => {
  let rounds = 0;
  const worker: SupervisedWorker = workerOf(1, (id) => {
    rounds += 1;
    metrics.receive(worker, id, snapshotOf(1));
  });
  const metrics = createFleetMetrics(createMetrics(), () => [worker]);
  await Promise.all([metrics.collect(), metrics.collect()]);
  assert.equal(rounds, 1);
  await metrics.collect();
  assert.equal(rounds, 2);
});
