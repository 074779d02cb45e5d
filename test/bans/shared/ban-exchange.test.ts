import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createBanRegistry } from '../../../src/bans/ban-registry.ts';
import { createExemptClients } from '../../../src/bans/exempt-clients.ts';
import { startBanExchange } from '../../../src/bans/shared/ban-exchange.ts';
import { createRedisBanStore } from '../../../src/bans/shared/redis-ban-store.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { openRedis } from '../../../src/redis/redis.ts';
import { readRedisUrl } from '../../../src/redis/redis-url.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { startRedis, type TestRedis, withoutRedis } from '../../helpers/redis.ts';

const policy = {
  ...{ violations: 3, failures: 2, windowMs: 60_000, firstMs: 600_000 },
  ...{ growth: 2, maxMs: 86_400_000, forgetMs: 604_800_000 },
};

describe('nodes that share a Redis', { skip: withoutRedis }, () => {
  let server: TestRedis;
  let prefixes = 0;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  /** Starts a node with a clock of its own. */
  async function startNode(t: TestContext, prefix: string) {
    const log = captureLog();
    const redis = await openRedis({
      target: readRedisUrl(server.url),
      name: 'test',
      log: log.log,
      pingMs: 300,
    });
    await eventually('Redis is connected', redis.isReady);
    const offset = Math.random() * 1e9;
    const registry = createBanRegistry({
      rules: { policy, exempt: createExemptClients([]) },
      ...{ log: log.log, metrics: createMetrics(), now: () => performance.now() + offset },
    });
    const states: boolean[] = [];
    const exchange = startBanExchange({
      ...{ store: createRedisBanStore({ redis, prefix }), registry, log: log.log },
      ...{ onState: (isUp) => void states.push(isUp), everyMs: 10, timeoutMs: 500 },
    });
    await exchange.started;
    t.after(async () => {
      await exchange.stop();
      await redis.close(1_000);
    });
    const offend = (client: string) => registry.report([{ client, violations: 3, failures: [] }]);
    const isBanned = (client: string) => registry.find(client) !== undefined;
    return { registry, exchange, states, log, offend, isBanned };
  }

  async function startNodes(t: TestContext) {
    prefixes += 1;
    const prefix = `${prefixes}:`;
    const [one, two] = await Promise.all([startNode(t, prefix), startNode(t, prefix)]);
    return { prefix, one, two };
  }

  it('a ban and its lift reach the other node, which neither logs nor counts them', async (t) => {
    const { one, two } = await startNodes(t);
    one.offend('203.0.113.7');
    await eventually('the other node bans', () => two.isBanned('203.0.113.7'));
    const left = two.registry.find('203.0.113.7')?.remainingMs ?? 0;
    assert.ok(left > 590_000 && left <= 600_000, `${left}`);
    assert.equal(two.log.of('ban.started').length, 0);
    assert.equal(two.registry.lift('203.0.113.7', 'operator'), true);
    await eventually('the first node lifts', () => !one.isBanned('203.0.113.7'));
    one.offend('203.0.113.7');
    await eventually('the other node bans again', () => two.isBanned('203.0.113.7'));
    assert.equal(two.registry.find('203.0.113.7')?.nth, 1);
  });

  it('a node that starts later, or again, gets the bans of the store', async (t) => {
    const { prefix, one } = await startNodes(t);
    one.offend('203.0.113.7');
    one.registry.ban({ client: '203.0.113.8', ms: 60_000, note: 'abuse', operator: 'operator' });
    await eventually(
      'the changes are written',
      () => server.command('HLEN', `${prefix}bans:{bans}:entries`) === '2',
    );
    const late = await startNode(t, prefix);
    assert.deepEqual(
      late.registry
        .page(10)
        .bans.map(({ client, note }) => `${client} ${note}`)
        .sort(),
      ['203.0.113.7 ', '203.0.113.8 abuse'],
    );
  });

  it('while Redis is away or frozen each node bans alone, and they exchange their bans when it is back', async (t) => {
    const { one, two } = await startNodes(t);
    server.freeze();
    one.offend('203.0.113.1');
    await eventually('both nodes notice', () => [one, two].every(({ states }) => states.at(-1) === false));
    two.offend('203.0.113.2');
    assert.ok(one.isBanned('203.0.113.1') && two.isBanned('203.0.113.2'));
    server.thaw();
    await eventually('both have both', () =>
      [one, two].every(({ isBanned }) => isBanned('203.0.113.1') && isBanned('203.0.113.2')),
    );
    for (const { log } of [one, two]) {
      assert.equal(log.of('ban.store_failed').length, 1);
      await eventually('the return is logged', () => log.of('ban.store_restored').length === 1);
    }
  });

  it('a Redis that restarts empty gets the bans again', async (t) => {
    const { prefix, one, two } = await startNodes(t);
    one.offend('203.0.113.1');
    await eventually('the other node bans', () => two.isBanned('203.0.113.1'));
    await server.restart();
    await eventually(
      'the ban is in Redis again',
      () => server.command('HEXISTS', `${prefix}bans:{bans}:entries`, '203.0.113.1') === '1',
    );
    two.offend('203.0.113.2');
    await eventually('the exchange continues', () => one.isBanned('203.0.113.2'));
    assert.ok(one.isBanned('203.0.113.1') && two.isBanned('203.0.113.1'));
  });
});
