import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createLogger } from '../../src/observability/logger.ts';
import { createRejectedClients } from '../../src/observability/rejected-clients.ts';
import type { LogLine } from '../helpers/captured-log.ts';

/** Rejected clients with a clock that the test moves, their lines, and how often each event was counted. */
function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const lines: LogLine[] = [];
  const counts: Record<string, number> = {};
  const rejected = createRejectedClients(
    createLogger({
      level: 'INFO',
      destination: { write: (line) => void lines.push(JSON.parse(line)), flush: () => Promise.resolve() },
      onEvent: (event) => {
        counts[event] = (counts[event] ?? 0) + 1;
      },
    }),
  );
  /** Reports a rejection, and returns whether it was logged. */
  const report = (
    clientAddress: string,
    { json = ',"policy":"minute"', peer = clientAddress, id = 'r1' } = {},
  ) => {
    const request = { id, clientAddress, peer, isLogged: true, trace: { traceId: 't1', spanId: 's1' } };
    rejected.report(request, { code: 'rate_limited', event: 'rate_limit.exceeded', json });
    return request.isLogged;
  };
  /** Moves the clock by one second, and returns the sums that were logged: the client, the kind and their number. */
  const nextSums = () => {
    const from = lines.length;
    t.mock.timers.tick(1000);
    return lines.slice(from).map((line) => {
      assert.deepEqual(
        [line.event, line.level, line.rejection],
        ['http.client.rejections', 'warning', 'rate_limited'],
      );
      return [line.client_address, line.policy, line.count];
    });
  };
  return { rejected, report, lines, counts, nextSums };
}

describe('clients that are rejected again and again', () => {
  it('the first rejection is logged in full, and the others of a second as one sum', (t) => {
    const { report, lines, counts, nextSums } = open(t);
    assert.equal(report('192.0.2.1', { id: 'a' }), true);
    const [first] = lines;
    assert.deepEqual(
      [first?.event, first?.level, first?.client_address, first?.policy],
      ['rate_limit.exceeded', 'warning', '192.0.2.1', 'minute'],
    );
    assert.deepEqual([first?.request_id, first?.trace_id, first?.span_id], ['a', 't1', 's1']);
    for (let time = 0; time < 5000; time += 1) assert.equal(report('192.0.2.1'), false);
    assert.equal(lines.length, 1);
    assert.deepEqual(nextSums(), [['192.0.2.1', 'minute', 5000]]);
    assert.equal(counts['rate_limit.exceeded'], 5001);
  });

  it('a flood has one line per second while it lasts, and the next rejection after a quiet second is logged in full', (t) => {
    const { report, nextSums } = open(t);
    report('192.0.2.1');
    for (let second = 0; second < 3; second += 1) {
      report('192.0.2.1');
      assert.deepEqual(nextSums(), [['192.0.2.1', 'minute', 1]]);
    }
    assert.deepEqual(nextSums(), []);
    assert.equal(report('192.0.2.1'), true);
  });

  it('clients, and kinds of rejections of one client, are summed up apart', (t) => {
    const { report, nextSums } = open(t);
    for (const client of ['192.0.2.1', '192.0.2.2']) {
      for (const json of [',"policy":"minute"', ',"policy":"hour"']) {
        assert.equal(report(client, { json }), true);
        assert.equal(report(client, { json }), false);
      }
    }
    assert.deepEqual(nextSums(), [
      ['192.0.2.1', 'minute', 1],
      ['192.0.2.1', 'hour', 1],
      ['192.0.2.2', 'minute', 1],
      ['192.0.2.2', 'hour', 1],
    ]);
  });

  it('a flood from a million addresses has about a hundred lines per second, and none of its rejections is lost', (t) => {
    const { report, lines, counts, nextSums } = open(t);
    for (let client = 0; client < 1_000_000; client += 1) report(`client-${client}`);
    assert.equal(lines.length, 100);
    assert.deepEqual(nextSums(), [[undefined, undefined, 999_900]]);
    assert.equal(counts['rate_limit.exceeded'], 1_000_000);
  });

  it('a peer is known as flooding until the end of the second', (t) => {
    const { rejected, report, nextSums } = open(t);
    assert.equal(rejected.isFlooding('10.0.0.1'), false);
    report('192.0.2.1', { peer: '10.0.0.1' });
    assert.equal(rejected.isFlooding('10.0.0.1'), true);
    assert.equal(rejected.isFlooding('192.0.2.1'), false);
    nextSums();
    assert.equal(rejected.isFlooding('10.0.0.1'), false);
  });
});
