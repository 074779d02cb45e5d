import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { createMetrics } from '../../../../src/observability/metrics/metrics.ts';
import { createLifecycle } from '../../../../src/program/lifecycle.ts';
import { createBans, openBans } from '../../../../src/program/parts/bans/open-bans.ts';
import { loadSettings } from '../../../../src/settings/load.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { metricValue } from '../../../helpers/metric-value.ts';
import { mustOpenTestDatabase } from '../../../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after });

/** Opens the bans of a node as its supervisor does. */
async function openNode(env: Readonly<Record<string, string>>, databaseUrl: string) {
  const { settings } = loadSettings({ env: { SECURITY_ENABLE_BAN_LIST: 'true', ...env }, envFile: null });
  const { log } = captureLog();
  const metrics = createMetrics();
  const lifecycle = createLifecycle(log);
  const bans = createBans(settings, log, metrics);
  assert.ok(bans !== undefined);
  await openBans(bans, { settings, log, metrics, lifecycle, databaseUrl });
  after(() => lifecycle.closeAll());
  return { bans, metrics };
}

const byHand = { client: '203.0.113.7', ms: 60_000, note: 'abuse', operator: '127.0.0.1' };

it('nodes with the store postgres exchange their bans, and a new node has them when it has started', async () => {
  const env = { SECURITY_RATE_LIMIT_STORE: 'postgres' };
  const [one, two] = await Promise.all([openNode(env, database.url), openNode(env, database.url)]);
  one.bans.ban(byHand);
  await eventually('the other node has the ban', () => two.bans.find('203.0.113.7') !== undefined);
  assert.equal(metricValue(two.metrics.snapshot(), 'ban_store_up').sum, 1);
  const late = await openNode(env, database.url);
  assert.equal(late.bans.find('203.0.113.7')?.note, 'abuse');
});

it('a node with the store memory shares nothing', async () => {
  const { bans, metrics } = await openNode({}, database.url);
  assert.equal(bans.page(10).total, 0);
  assert.ok(metrics.snapshot().every(({ name }) => name !== 'ban_store_up'));
});

it('a database that does not answer does not stop the start', async () => {
  const env = { SECURITY_RATE_LIMIT_STORE: 'postgres' };
  const { bans, metrics } = await openNode(env, 'postgres://nobody:x@127.0.0.1:1/none');
  bans.ban(byHand);
  assert.equal(bans.page(10).total, 1);
  await eventually('the state is known', () => metricValue(metrics.snapshot(), 'ban_store_up').count === 0);
});
