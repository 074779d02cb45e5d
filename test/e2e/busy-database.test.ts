/** Requests to a server whose pool has no free connection, and clients that leave before their answer. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustServeNotes, notes } from '../helpers/notes.ts';
import { mustSignIn } from '../helpers/test-api.ts';

/** An API whose connections are all in use until `free` is called. */
async function mustBlock(t: TestContext, env: Readonly<Record<string, string>>) {
  const api = await mustServeNotes(t, { APP_DATABASE_POOL_SIZE: '2', ...env });
  const { sql, stats, transaction } = api.app.database;
  const blocked = createDeferred<void>();
  await Promise.all([sql`select pg_sleep(0.01)`, sql`select pg_sleep(0.01)`]);
  // A timer of 1 ms that the first response has started makes the pool ask whether there is a pooler. The question would
  // take a place in the queue. Timers of the same length fire in order, so it is sent when this one fires.
  await delay(1);
  await eventually('all connections are free', () => stats().inUse === 0 && stats().waiting === 0);
  let held = 0;
  const hold = async () => {
    held += 1;
    await blocked.promise;
  };
  const holders = [1, 2].map(() => transaction(hold).catch(() => {}));
  await eventually('all connections are in use', () => held === 2);
  const free = async () => {
    blocked.resolve();
    await Promise.all(holders);
  };
  return { ...api, free };
}

describe('while no connection of the pool is free', () => {
  it('requests beyond the queue of the pool get 503 at once, and those in the queue are answered', async (t) => {
    const api = await mustBlock(t, { APP_DATABASE_POOL_QUEUE: '10', APP_DATABASE_POOL_WAIT_MS: '60000' });
    const requests = Array.from({ length: 200 }, () => api.get(notes));
    let refused = 0;
    await Promise.all(
      requests.map((request) =>
        request.then(({ status, headers, body }) => {
          if (status === 200) return;
          assert.equal(body.type, 'urn:strata:problem:overloaded');
          assert.equal(headers.get('retry-after'), '1');
          refused += 1;
          if (refused === 190) {
            assert.equal(api.app.database.stats().waiting, 10);
            void api.free();
          }
        }),
      ),
    );
    assert.equal(refused, 190);
    assert.equal(api.app.database.refused(), 190);
  });

  it('a request gets 503 after it has waited for APP_DATABASE_POOL_WAIT_MS', async (t) => {
    const api = await mustBlock(t, { APP_DATABASE_POOL_WAIT_MS: '50' });
    const { status, headers, body } = await api.get(notes);
    assert.deepEqual([status, headers.get('retry-after')], [503, '1']);
    assert.equal(body.type, 'urn:strata:problem:overloaded');
    await api.free();
    assert.equal((await api.get(notes)).status, 200);
  });

  it('the server stays ready', async (t) => {
    const api = await mustBlock(t, { APP_DATABASE_POOL_QUEUE: '0' });
    assert.equal((await api.get(notes)).status, 503);
    for (let probe = 0; probe < 3; probe += 1) {
      const { status, text } = await api.get('/api/v1/health/ready');
      assert.equal(status, 200, text);
    }
    await api.free();
  });
});

describe('the pool', () => {
  it('serves the clients that stay while other clients leave before their answer', async (t) => {
    // On a busy machine the queue of the two connections can take longer than the default.
    const env = { APP_DATABASE_POOL_SIZE: '2', APP_DATABASE_POOL_WAIT_MS: '60000' };
    const api = await mustServeNotes(t, env);
    const ada = await mustSignIn(api, 'ada');
    const { body: first } = await ada.post(notes, { title: 'First' });
    await api.app.database.sql`
      insert into notes (owner_id, title)
      select ${ada.user.id}, n || repeat('x', 500) from generate_series(1, 100) n`;
    let isStaying = true;
    let left = 0;
    const leave = async () => {
      while (isStaying && left < 600) {
        left += 1;
        const signal = AbortSignal.timeout(1 + (left % 12));
        await fetch(`${api.app.url}${notes}?limit=100`, { signal }).then(
          (response) => response.text().catch(() => {}),
          () => {},
        );
      }
    };
    const stay = async () => {
      for (let round = 0; round < 15; round += 1) {
        const one = await api.get(`${notes}/${first.id}`);
        assert.deepEqual([one.status, one.body.title], [200, 'First'], one.text);
        const all = await api.get(`${notes}?limit=100`);
        assert.deepEqual([all.status, all.body.items.length], [200, 100], all.text.slice(0, 300));
      }
    };
    // The clients that leave stop when the client that stays has finished or failed.
    const staying = stay().finally(() => {
      isStaying = false;
    });
    await Promise.all([leave(), leave(), staying]);
    t.diagnostic(`${left} clients left`);
    await eventually('all connections are free', () => api.app.database.stats().inUse === 0);
  });
});
