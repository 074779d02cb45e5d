import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BanChange, type BanRules, createBanRegistry } from '../../src/bans/ban-registry.ts';
import { createExemptClients } from '../../src/bans/exempt-clients.ts';
import { AppError } from '../../src/errors.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { metricValue } from '../helpers/metric-value.ts';

const policy = {
  violations: 3,
  failures: 2,
  windowMs: 1_000,
  firstMs: 10_000,
  growth: 2,
  maxMs: 60_000,
  forgetMs: 100_000,
};
const rules = (...allowed: string[]): BanRules => ({ policy, exempt: createExemptClients(allowed) });

const noBan: Omit<BanChange, 'client'> = {
  ...{ isLifted: false, reason: 'manual', nth: 0, note: '', ageMs: 0, remainingMs: 0 },
};

function makeRegistry(...allowed: string[]) {
  const clock = { now: 5_000 };
  const log = captureLog();
  const metrics = createMetrics();
  const registry = createBanRegistry({
    rules: rules(...allowed),
    log: log.log,
    metrics,
    now: () => clock.now,
  });
  const shared: BanChange[] = [];
  registry.onChange((client, isLifted) => {
    const change = isLifted ? { ...noBan, client, isLifted } : registry.changeOf(client);
    if (change !== undefined) shared.push(change);
  });
  const offend = (client: string) => registry.report([{ client, violations: 3, failures: [] }]);
  const count = (name: string, labels = {}) => metricValue(metrics.snapshot(), name, labels).count;
  return { clock, log, registry, shared, offend, count };
}

/** Connects a process; `seen` is what it has been sent. */
function connect({ registry }: ReturnType<typeof makeRegistry>) {
  const seen: string[] = [];
  const disconnect = registry.connect({
    started: (bans) => void seen.push(...bans.map(({ client, until }) => `${client} until ${until}`)),
    lifted: (clients) => void seen.push(...clients.map((client) => `${client} lifted`)),
  });
  return { seen, disconnect };
}

const byHand = (client: string) => ({ client, ms: 5_000, note: 'abuse', operator: '127.0.0.1' });

describe('a ban', () => {
  it('reaches all processes, also one that connects later, and is logged and counted once', () => {
    const made = makeRegistry();
    const early = connect(made);
    made.offend('203.0.113.7');
    made.offend('203.0.113.7');
    const late = connect(made);
    assert.deepEqual(early.seen, ['203.0.113.7 until 15000']);
    assert.deepEqual(late.seen, early.seen);
    assert.equal(made.log.of('ban.started').length, 1);
    assert.equal(made.count('bans_started_total', { reason: 'rate_limit' }), 1);
    assert.equal(made.count('bans_active'), 1);
    early.disconnect();
    made.offend('203.0.113.8');
    assert.equal(early.seen.length, 1);
    assert.equal(late.seen.length, 2);
  });

  it('ends when its time is over, and the next one is longer', () => {
    const { clock, registry, offend, count } = makeRegistry();
    offend('203.0.113.7');
    clock.now += 10_000;
    registry.sweep();
    assert.equal(count('bans_active'), 0);
    assert.equal(registry.find('203.0.113.7'), undefined);
    offend('203.0.113.7');
    assert.equal(registry.find('203.0.113.7')?.remainingMs, 20_000);
  });

  it('of 2,500 clients is sent to a new process in messages of at most 1,000', () => {
    const made = makeRegistry();
    for (let index = 0; index < 2_500; index += 1) made.offend(`20.0.${index >> 8}.${index & 255}`);
    const sizes: number[] = [];
    made.registry.connect({ started: (bans) => void sizes.push(bans.length), lifted() {} });
    assert.deepEqual(sizes, [1_000, 1_000, 500]);
  });
});

describe('exempt clients', () => {
  const exempt = ['10.1.2.3', '127.0.0.1', '::1', '198.51.100.9', 'fd00:0:0:0::/64', '2001:db8:0:7::/64'];

  for (const client of exempt) {
    it(`${client} is banned neither for offences nor by hand nor by another node`, () => {
      const { registry, offend } = makeRegistry('198.51.100.0/24', '2001:db8::/48');
      offend(client);
      registry.adopt([{ ...noBan, client, remainingMs: 1_000 }]);
      assert.throws(
        () => registry.ban(byHand(client)),
        (error) =>
          error instanceof AppError && error.code === 'conflict' && /is never banned/.test(error.message),
      );
      assert.equal(registry.page(10).total, 0);
    });
  }

  it('a reload that adds a banned client to the allow list ends its ban', () => {
    const made = makeRegistry();
    const { seen } = connect(made);
    made.offend('203.0.113.7');
    made.registry.configure(rules('203.0.113.0/24'));
    assert.deepEqual(seen, ['203.0.113.7 until 15000', '203.0.113.7 lifted']);
    assert.equal(made.registry.page(10).total, 0);
  });
});

describe('an operator', () => {
  it('bans and lifts a client, with a note', () => {
    const made = makeRegistry();
    const { seen } = connect(made);
    const ban = made.registry.ban(byHand('203.0.113.7'));
    assert.deepEqual([ban.reason, ban.note, ban.remainingMs, ban.nth], ['manual', 'abuse', 5_000, 0]);
    assert.equal(ban.endsAt.getTime() - ban.startedAt.getTime(), 5_000);
    assert.equal(made.registry.lift('203.0.113.7', '127.0.0.1'), true);
    assert.equal(made.registry.lift('203.0.113.7', '127.0.0.1'), false);
    assert.deepEqual(seen, ['203.0.113.7 until 10000', '203.0.113.7 lifted']);
    assert.equal(made.log.of('ban.started')[0]?.note, 'abuse');
    assert.equal(made.log.of('ban.ended')[0]?.how, 'lifted');
  });

  it('pages through the bans, the newest first', () => {
    const { registry, offend } = makeRegistry();
    for (const last of [1, 2, 3, 4, 5]) offend(`203.0.113.${last}`);
    const names = (page: ReturnType<typeof registry.page>) =>
      page.bans.map(({ client }) => client.slice(-1)).join('');
    const first = registry.page(2);
    assert.deepEqual([names(first), first.total], ['54', 5]);
    const second = registry.page(2, first.before);
    const third = registry.page(2, second.before);
    assert.deepEqual([names(second), names(third), third.before], ['32', '1', undefined]);
  });
});

describe('other nodes', () => {
  it('a ban and its end are shared, and those of another node are applied without being shared again', () => {
    const one = makeRegistry();
    const two = makeRegistry();
    two.clock.now = 900_000;
    one.offend('203.0.113.7');
    two.registry.adopt(one.shared);
    assert.equal(two.registry.find('203.0.113.7')?.remainingMs, 10_000);
    assert.equal(two.log.of('ban.started').length, 0);
    two.registry.lift('203.0.113.7', '127.0.0.1');
    one.registry.adopt(two.shared);
    assert.equal(one.registry.find('203.0.113.7'), undefined);
    assert.deepEqual([one.shared.length, two.shared.length], [1, 1]);
  });

  it('the processes get a ban and a lift of another node, and nothing for a change that comes back', () => {
    const made = makeRegistry();
    const { seen } = connect(made);
    const change = { ...noBan, client: '203.0.113.7', remainingMs: 1_000 };
    made.registry.adopt([change]);
    made.registry.adopt([{ ...change, remainingMs: 1_010 }]);
    assert.deepEqual(seen, ['203.0.113.7 until 6000']);
    made.registry.adopt([{ ...change, isLifted: true }]);
    assert.deepEqual(seen.slice(1), ['203.0.113.7 lifted']);
  });

  it('the next ban of a client is longer on every node', () => {
    const one = makeRegistry();
    const two = makeRegistry();
    one.offend('203.0.113.7');
    two.registry.adopt(one.shared);
    two.clock.now += 11_000;
    two.offend('203.0.113.7');
    assert.equal(two.registry.find('203.0.113.7')?.nth, 2);
  });
});
