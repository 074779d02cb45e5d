import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { probedCircuit } from '../../src/observability/probed-circuit.ts';
import { currentRequest, runInRequest } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { metricValue } from '../helpers/metric-value.ts';

function makeCircuit(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = { now: 0 };
  const captured = captureLog();
  const metrics = createMetrics();
  const part = { isAway: true, probes: 0, inRequest: false };
  const circuit = probedCircuit({
    ...{ kind: 'database', name: 'postgres', openMs: 100, maxOpenMs: 400, advice: 'Wait.' },
    log: captured.log,
    metrics: createCircuitMetrics(metrics),
    now: () => clock.now,
  })(async () => {
    part.probes += 1;
    part.inRequest ||= currentRequest() !== undefined;
    if (part.isAway) throw new Error('away');
  });
  t.after(circuit.stop);
  return {
    ...{ circuit, part, captured },
    count: (metric: string) => metricValue(metrics.snapshot(), metric).sum,
    /** Lets time pass, and what it starts. */
    async pass(ms: number) {
      clock.now += ms;
      t.mock.timers.tick(ms);
      await nextTurn();
    },
  };
}

describe('a probed circuit', () => {
  it('it opens at once, probes after growing times, and closes at the first successful probe', async (t) => {
    const { circuit, part, pass } = makeCircuit(t);
    assert.equal(circuit.isOpen(), false);
    circuit.open(new Error('no route'));
    assert.equal(circuit.isOpen(), true);
    assert.equal(circuit.retryAfterMs(), 100);
    const probes: number[] = [];
    // With its jitter, a probe starts within 1.25 of the open time.
    for (const ms of [125, 250, 500, 500]) {
      await pass(ms);
      probes.push(part.probes);
    }
    assert.deepEqual(probes, [1, 2, 3, 4]);
    part.isAway = false;
    assert.equal(circuit.isOpen(), true);
    await pass(500);
    assert.equal(circuit.isOpen(), false);
    assert.equal(circuit.retryAfterMs(), 0);
    await pass(5_000);
    assert.equal(part.probes, 5);
  });

  it('an outage is one event with its reason, and its end another one', async (t) => {
    const { circuit, part, pass, captured, count } = makeCircuit(t);
    circuit.open(new Error('no route'));
    circuit.open(new Error('a later error'));
    await pass(125);
    assert.equal(count('circuits_open'), 1);
    circuit.countRejection();
    assert.equal(count('circuit_rejections_total'), 1);
    part.isAway = false;
    await pass(250);
    assert.equal(count('circuits_open'), 0);
    assert.deepEqual(
      captured.lines().map(({ event, kind, circuit: name, reason }) => [event, kind, name, reason]),
      [
        ['circuit.opened', 'database', 'postgres', 'no route'],
        ['circuit.closed', 'database', 'postgres', undefined],
      ],
    );
  });

  it('its probes belong to no request, although a request found the failure', async (t) => {
    const { circuit, part, pass } = makeCircuit(t);
    const { signal } = new AbortController();
    runInRequest({ id: 'r-1', signal }, () => circuit.open(new Error('no route')));
    await pass(125);
    assert.deepEqual([part.probes, part.inRequest], [1, false]);
  });

  it('a stopped circuit is open and does not probe', async (t) => {
    const { circuit, part, pass } = makeCircuit(t);
    circuit.open(new Error('no route'));
    circuit.stop();
    await pass(5_000);
    assert.deepEqual([circuit.isOpen(), part.probes], [true, 0]);
  });
});
