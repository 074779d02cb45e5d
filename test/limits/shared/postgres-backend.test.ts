import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createPostgresBackend, deleteExpiredPermits } from '../../../src/limits/shared/postgres-backend.ts';
import { conformsToLimitStore } from '../../conformance/limit-store.ts';
import { conformsToSharedBackend, direct, limitOf } from '../../conformance/shared-backend.ts';
import { mustConnect, mustOpenTestDatabase } from '../../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after });
const other = mustConnect({ after }, { url: database.url });

describe('the PostgreSQL backend', () => {
  conformsToLimitStore(async ({ clock }) => {
    await database.sql`truncate rate_limit_permits`;
    return direct(createPostgresBackend({ database, now: () => clock.now }));
  });

  conformsToSharedBackend(async () => {
    await database.sql`truncate rate_limit_permits`;
    return [database, other].map((each) => createPostgresBackend({ database: each }));
  });

  it('a rejection writes nothing, and a row is deleted when no window has a permit of its client', async () => {
    await database.sql`truncate rate_limit_permits`;
    const store = direct(createPostgresBackend({ database }));
    await store.take(limitOf('address', 1, 1), 'short');
    await store.take(limitOf('address', 1), 'long');
    const rows = async () => [
      ...(await database.sql`select key, times, xmin::text from rate_limit_permits where key like '%:long'`),
    ];
    const [before] = await rows();
    assert.equal((await store.take(limitOf('address', 1), 'long')).allowed, false);
    assert.deepEqual(await rows(), [before]);
    await database.sql`select pg_sleep(0.005)`;
    assert.equal(await deleteExpiredPermits(database.sql, 100), 1);
    assert.deepEqual(await rows(), [before]);
  });

  it('after the clock of PostgreSQL is set back, no window has more permits than its quota', async (t) => {
    const clock = { now: 1_000_000 };
    const database = await mustOpenTestDatabase(t);
    const store = direct(createPostgresBackend({ database, now: () => clock.now }));
    const limit = { name: 'address', policies: [{ name: 'minute', quota: 10, windowMs: 60_000 }] };
    let allowed = 0;
    const take = async () => {
      if ((await store.take(limit, 'a')).allowed) allowed += 1;
    };
    for (let time = 0; time < 5; time += 1) await take();
    clock.now -= 29_960;
    for (let time = 0; time < 100; time += 1, clock.now += 40) await take();
    assert.equal(allowed, 10);
    clock.now = 1_060_001;
    assert.equal((await store.take(limit, 'a')).allowed, true);
  });

  it('the table is unlogged, so counting writes no WAL', async () => {
    const [table] =
      await database.sql`select relpersistence from pg_class where relname = 'rate_limit_permits'`;
    assert.deepEqual(table, { relpersistence: 'u' });
  });
});
