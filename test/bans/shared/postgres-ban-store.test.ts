import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createPostgresBanStore, deleteOldBans } from '../../../src/bans/shared/postgres-ban-store.ts';
import { banOf, conformsToBanStore, contentsOf } from '../../conformance/ban-store.ts';
import { mustConnect, mustOpenTestDatabase } from '../../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after });
const other = mustConnect({ after }, { url: database.url });

describe('the PostgreSQL ban store', () => {
  conformsToBanStore(async () => {
    await database.sql`truncate client_bans`;
    return [createPostgresBanStore({ database }), createPostgresBanStore({ database: other })];
  });

  it('rows are deleted when they are forgotten', async () => {
    await database.sql`truncate client_bans`;
    const store = createPostgresBanStore({ database });
    await store.write([banOf('old', { remainingMs: -10 }), banOf('new')], 0);
    await database.sql`select pg_sleep(0.005)`;
    assert.equal(await deleteOldBans(database.sql, 100), 1);
    assert.deepEqual(Object.keys(await contentsOf(store)), ['new']);
  });
});
