import assert from 'node:assert/strict';
import { test } from 'node:test';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { startProgram } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

interface Probes {
  readonly status: number;
  readonly detail: unknown;
}

const stateOf = ({ management, api }: Readonly<Record<'management' | 'api', Probes>>) =>
  [management.status, api.status].join(' ');

const portOf = (url: string) => Number(new URL(url).port);

for (const workers of ['1', '2']) {
  test(`both readiness probes report pending migrations until they are applied, with APP_WORKERS=${workers}`, async (t) => {
    const url = await mustCreateDatabase(t, { empty: true });
    const program = startProgram(t, {
      APP_DATABASE_URL: url,
      APP_DATABASE_MIGRATE: 'false',
      APP_MANAGEMENT_PORT: '0',
      APP_WORKERS: workers,
    });
    const line = JSON.parse(await program.logged(/"event":"migration.pending"/));
    assert.equal(line.level, 'warning');
    assert.ok(line.count > 5);
    assert.equal(line.names[0], '0001_create_users');
    const [management, api] = [await program.management, await program.ready];
    const probe = async () => {
      const [one, other] = await Promise.all([
        request(portOf(management), { path: '/readyz' }),
        request(portOf(api), { path: '/api/v1/health/ready' }),
      ]);
      return {
        management: { status: one.status, detail: one.json.detail },
        api: { status: other.status, detail: other.json.checks.migrations.detail },
      };
    };
    await eventually('the banner is printed', () => program.stderr().includes('Ctrl+C'));
    const before = await probe();
    assert.equal(stateOf(before), '503 503');
    assert.equal(
      before.management.detail,
      `${line.count} migrations are pending; run \`npm run migrate -- up\`.`,
    );
    assert.equal(before.api.detail, before.management.detail);
    if (workers === '2') {
      program.process.kill('SIGHUP');
      const refused = JSON.parse(await program.logged(/"event":"reload.refused"/));
      assert.equal(refused.message, before.management.detail);
    }
    await migrateUp({ url, log: captureLog().log });
    await eventually('both probes recover', async () => stateOf(await probe()) === '200 200');
    assert.equal(program.stdout().match(/"event":"migration.pending"/g)?.length, Number(workers));
  });
}
