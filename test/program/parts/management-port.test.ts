import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { Fleet } from '../../../src/cluster/fleet.ts';
import { StartError } from '../../../src/errors.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { createLifecycle } from '../../../src/program/lifecycle.ts';
import { openManagementPort } from '../../../src/program/parts/management-port.ts';
import { captureLog } from '../../helpers/captured-log.ts';

const fleet: Fleet = {
  reports: () => [],
  readiness: async () => ({ ready: true, detail: 'All is well.' }),
  collectMetrics: async () => createMetrics().snapshot(),
};

function open(t: TestContext, management: { port: number; mayMove: boolean } | null) {
  const captured = captureLog();
  const lifecycle = createLifecycle(captured.log);
  t.after(() => lifecycle.closeAll());
  const settings = {
    management,
    managementHost: '127.0.0.1',
    managementToken: '',
    managementAllowedHosts: [],
  };
  return { captured, lifecycle, url: openManagementPort(settings, fleet, captured.log, lifecycle) };
}

/** A port that is in use. */
async function mustTakePort(t: TestContext): Promise<number> {
  const other = createServer().listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

test('the management port is opened, logged, and closed with the lifecycle', async (t) => {
  const { captured, lifecycle, url } = open(t, { port: 0, mayMove: false });
  const opened = await url;
  assert.equal(captured.of('management.ready')[0]?.url, opened);
  assert.equal((await fetch(`${opened}/livez`)).status, 200);
  await lifecycle.closeAll();
  await assert.rejects(fetch(`${opened}/livez`));
});

test('a disabled management port is not opened', async (t) => {
  const { captured, url } = open(t, null);
  assert.equal(await url, null);
  assert.equal(captured.text(), '');
});

test('a configured port that is taken fails the start with a sentence that names the setting', async (t) => {
  const port = await mustTakePort(t);
  await assert.rejects(open(t, { port, mayMove: false }).url, (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, new RegExp(`^Port ${port} on 127.0.0.1 is taken.*APP_MANAGEMENT_PORT`));
    return true;
  });
});

test('in local, a default port that is taken is replaced by a free one, with a warning', async (t) => {
  const port = await mustTakePort(t);
  const { captured, url } = open(t, { port, mayMove: true });
  const opened = await url;
  assert.ok(opened !== null);
  assert.notEqual(new URL(opened).port, String(port));
  assert.equal((await fetch(`${opened}/livez`)).status, 200);
  assert.match(String(captured.of('config.warning')[0]?.advice), /APP_MANAGEMENT_PORT/);
});
