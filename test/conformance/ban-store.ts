import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BanChange } from '../../src/bans/ban-registry.ts';
import { type BanStore, maxChanges } from '../../src/bans/shared/ban-store.ts';

const hour = 3_600_000;

/** Makes a change: a ban for a request over the limit, of an hour that starts now. */
export function banOf(client: string, parts: Partial<BanChange> = {}): BanChange {
  return {
    ...{ client, isLifted: false, reason: 'rate_limit', nth: 1, note: '', ageMs: 0, remainingMs: hour },
    ...parts,
  };
}

export const liftOf = (client: string) =>
  banOf(client, { isLifted: true, reason: 'manual', nth: 0, remainingMs: 0 });

/** Returns all changes of a store by client, with times rounded to ten seconds. */
export async function contentsOf(store: BanStore): Promise<Record<string, string>> {
  const { changes } = await store.read(undefined);
  const rounded = (ms: number) => Math.round(ms / 10_000) * 10;
  return Object.fromEntries(
    changes.map(({ client, isLifted, reason, nth, note, ageMs, remainingMs }) => [
      client,
      isLifted ? 'lifted' : `${reason} ${nth} "${note}" ${rounded(ageMs)} ${rounded(remainingMs)}`,
    ]),
  );
}

/** Registers the tests of every ban store. `create` returns two connections to one empty store. */
export function conformsToBanStore(create: () => Promise<readonly [BanStore, BanStore]>): void {
  it('a change of one node is read by the others, once, with its age and the time that is left', async () => {
    const [one, two] = await create();
    const before = await two.read(undefined);
    assert.deepEqual([before.changes, before.hasMore], [[], false]);
    await one.write([banOf('203.0.113.7', { nth: 3, ageMs: 60_000 }), banOf('2001:db8:0:0::/64')], hour);
    const read = await two.read(before.cursor);
    assert.deepEqual(read.changes.map(({ client }) => client).sort(), ['2001:db8:0:0::/64', '203.0.113.7']);
    assert.deepEqual(await contentsOf(two), {
      '203.0.113.7': 'rate_limit 3 "" 60 3600',
      '2001:db8:0:0::/64': 'rate_limit 1 "" 0 3600',
    });
    assert.deepEqual((await two.read(read.cursor)).changes, []);
  });

  it('a note of an operator keeps its characters', async () => {
    const [one, two] = await create();
    const note = `"it's" \\ \n 🚀 {}`;
    await one.write([banOf('203.0.113.7', { reason: 'manual', nth: 0, note })], hour);
    assert.equal((await two.read(undefined)).changes[0]?.note, note);
  });

  const table: [what: string, writes: BanChange[], expected: string | undefined][] = [
    [
      'of two automatic bans the longer one remains',
      [banOf('c', { remainingMs: 2 * hour }), banOf('c', { reason: 'authentication' })],
      'rate_limit 1 "" 0 7200',
    ],
    [
      'a longer automatic ban replaces a shorter one, and keeps the higher count',
      [banOf('c', { nth: 4 }), banOf('c', { reason: 'authentication', remainingMs: 2 * hour })],
      'authentication 4 "" 0 7200',
    ],
    [
      'a ban by hand replaces a longer automatic one',
      [banOf('c', { remainingMs: 2 * hour }), banOf('c', { reason: 'manual', nth: 1, note: 'why' })],
      'manual 1 "why" 0 3600',
    ],
    [
      'an automatic ban does not replace one by hand',
      [banOf('c', { reason: 'manual', nth: 0 }), banOf('c', { remainingMs: 2 * hour })],
      'manual 0 "" 0 3600',
    ],
    ['a lift replaces every ban', [banOf('c', { reason: 'manual' }), liftOf('c')], 'lifted'],
    ['a new ban replaces a lift', [liftOf('c'), banOf('c')], 'rate_limit 1 "" 0 3600'],
    [
      'a new ban replaces one that has ended',
      [banOf('c', { nth: 9, ageMs: hour, remainingMs: -60_000 }), banOf('c', { remainingMs: 60_000 })],
      'rate_limit 1 "" 0 60',
    ],
    [
      'a ban that has ended is kept, because it makes the next one longer',
      [banOf('c', { nth: 2, ageMs: hour, remainingMs: -60_000 })],
      'rate_limit 2 "" 3600 -60',
    ],
  ];
  for (const [what, writes, expected] of table) {
    it(what, async () => {
      const [one, two] = await create();
      for (const change of writes) await one.write([change], hour);
      assert.deepEqual(await contentsOf(two), expected === undefined ? {} : { c: expected });
    });
  }

  it('more changes than fit into one answer are read in several, without a gap', async () => {
    const [one, two] = await create();
    const names = Array.from({ length: maxChanges + 10 }, (_, index) => `client-${index}`);
    await one.write(
      names.slice(0, maxChanges).map((name) => banOf(name)),
      hour,
    );
    await one.write(
      names.slice(maxChanges).map((name) => banOf(name)),
      hour,
    );
    const first = await two.read(undefined);
    assert.equal(first.hasMore, true);
    const second = await two.read(first.cursor);
    assert.equal(second.hasMore, false);
    const read = [...first.changes, ...second.changes].map(({ client }) => client);
    assert.deepEqual(read.sort(), names.sort());
  });

  it('twenty nodes that write at the same time lose no change to a reader that reads meanwhile', async () => {
    const [one, two] = await create();
    const seen = new Set<string>();
    let { cursor } = await two.read(undefined);
    const readOn = async () => {
      const page = await two.read(cursor);
      for (const { client } of page.changes) seen.add(client);
      cursor = page.cursor;
    };
    const writes = Array.from({ length: 20 }, async (_, index) => {
      await delay(index % 5);
      await one.write([banOf(`client-${index}`)], hour);
    });
    for (let round = 0; round < 10; round += 1) {
      await readOn();
      await delay(2);
    }
    await Promise.all(writes);
    await readOn();
    assert.equal(seen.size, 20);
  });
}
