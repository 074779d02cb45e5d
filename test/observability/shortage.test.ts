import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { createShortageReport, shortageOf } from '../../src/observability/shortage.ts';
import { captureLog } from '../helpers/captured-log.ts';

const coded = (code: string) => Object.assign(new Error(code), { code });

describe('a shortage', () => {
  for (const [what, error, resource] of [
    ['EMFILE', coded('EMFILE'), 'descriptors'],
    ['ENFILE', coded('ENFILE'), 'descriptors'],
    ['ENOMEM', coded('ENOMEM'), 'memory'],
    ['ENOBUFS', coded('ENOBUFS'), 'memory'],
    ['EAGAIN', coded('EAGAIN'), 'memory'],
    ['ENOSPC', coded('ENOSPC'), 'disk'],
    ['EDQUOT', coded('EDQUOT'), 'disk'],
    ['a cause', new Error('upload', { cause: coded('ENOSPC') }), 'disk'],
    ['one of several', new AggregateError([coded('ECONNREFUSED'), coded('EMFILE')]), 'descriptors'],
    ['ECONNRESET', coded('ECONNRESET'), undefined],
    ['a TypeError', new TypeError('x is not a function'), undefined],
    ['a text', 'EMFILE', undefined],
    ['nothing', undefined, undefined],
  ] as const) {
    it(`${what} is a shortage of ${resource ?? 'nothing'}`, () => assert.equal(shortageOf(error), resource));
  }

  it('an error that is its own cause is searched once', () => {
    const error = new Error('circular');
    error.cause = error;
    assert.equal(shortageOf(error), undefined);
  });

  it('a shortage is counted each time, and logged once in ten seconds', (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const { log, of } = captureLog();
    const metrics = createMetrics();
    const report = createShortageReport(log, metrics);
    for (let count = 0; count < 1000; count += 1) assert.ok(report(coded('EMFILE')));
    assert.ok(report(coded('ENOSPC')));
    assert.ok(!report(coded('ECONNRESET')));
    now = 10_000;
    report(coded('EMFILE'));
    assert.deepEqual(
      of('process.shortage').map(({ resource, unlogged }) => [resource, unlogged]),
      [
        ['descriptors', 0],
        ['disk', 0],
        ['descriptors', 999],
      ],
    );
    const family = metrics.snapshot().find(({ name }) => name === 'resource_shortages_total');
    assert.deepEqual(family?.series, [
      { values: ['descriptors'], numbers: [1001] },
      { values: ['memory'], numbers: [0] },
      { values: ['disk'], numbers: [1] },
    ]);
  });
});
