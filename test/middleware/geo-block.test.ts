import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compose } from '../../src/http/compose.ts';
import { type GeoBlockOptions, geoBlock } from '../../src/middleware/geo-block.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { createRejectedClients } from '../../src/observability/rejected-clients.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext, type TestContextOptions } from '../helpers/context.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { rejectionNow } from '../helpers/rejection.ts';
import { testRoute } from '../helpers/test-route.ts';

/** The addresses of these tests are the names of their countries. */
function makeLayer(options: Partial<Omit<GeoBlockOptions, 'metrics' | 'find'>> = {}) {
  const metrics = createMetrics();
  const layer = geoBlock({
    rejected: createRejectedClients(captureLog().log),
    ...{ find: (address) => address, allowed: [], blocked: [], allowsUnknown: true, metrics },
    ...options,
  });
  const run = compose([{ name: 'geo-block', run: layer }], (ctx) => {
    ctx.reply(200, 'let in');
    return undefined;
  });
  const ask = (country: string, request: TestContextOptions = {}) => {
    const ctx = makeContext({ peer: country, ...request });
    return { ctx, error: rejectionNow(run, ctx) };
  };
  return { metrics, ask };
}

describe('the decision', () => {
  const table: [options: Parameters<typeof makeLayer>[0], allowed: string[], blocked: string[]][] = [
    [{}, ['DE', 'US', 'private', 'unknown'], []],
    [{ blocked: ['DE'] }, ['US', 'private', 'unknown'], ['DE']],
    [{ allowed: ['DE'], allowsUnknown: false }, ['DE', 'private'], ['US', 'unknown']],
    [{ allowed: ['DE'] }, ['DE', 'private', 'unknown'], ['US']],
    [{ allowed: ['DE', 'FR'], blocked: ['FR'] }, ['DE', 'private'], ['FR', 'US']],
    [{ allowsUnknown: false }, ['DE', 'private'], ['unknown']],
  ];
  for (const [options, allowed, blocked] of table) {
    it(`with ${JSON.stringify(options)}, ${allowed.join(', ')} pass, and ${blocked.join(', ') || 'none'} is blocked`, () => {
      const { ask } = makeLayer(options);
      // Twice, because the second decision is a remembered one.
      for (const country of [...allowed, ...allowed]) assert.equal(ask(country).ctx.status, 200, country);
      for (const country of [...blocked, ...blocked]) {
        const { error, ctx } = ask(country);
        assert.equal(error?.code, 'country_blocked', country);
        assert.equal(error?.layer, 'geo-block');
        assert.equal(ctx.country, country);
      }
    });
  }
});

it('a probe is answered for every country', () => {
  const { ask } = makeLayer({ blocked: ['DE'] });
  const probe = { route: testRoute('GET', '/live', () => 1, { limit: 'exempt' }) };
  assert.equal(ask('DE', probe).error, undefined);
  assert.equal(ask('DE', { route: testRoute('GET', '/other', () => 1) }).error?.code, 'country_blocked');
});

it('requests are counted by country and result', () => {
  const { ask, metrics } = makeLayer({ blocked: ['DE'] });
  for (const country of ['DE', 'DE', 'US', 'unknown']) ask(country);
  const count = (country: string, result: string) =>
    metricValue(metrics.snapshot(), 'geoip_requests_total', { country, result }).count;
  assert.deepEqual([count('DE', 'blocked'), count('DE', 'allowed')], [2, 0]);
  assert.deepEqual([count('US', 'allowed'), count('unknown', 'allowed')], [1, 1]);
});
