import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Keyset, type KeysetPage, keysetPage } from '../../src/db/keyset.ts';

interface Row {
  readonly id: number;
}

/** The rows that PostgreSQL returns for the keyset: one more than the page holds, in the order of reading. */
function read(table: readonly number[], { from, limit }: Keyset): Row[] {
  const backwards = from?.side === 'newer';
  const beyond = table.filter((id) => from === undefined || (backwards ? id > from.id : id < from.id));
  const ordered = beyond.toSorted((a, b) => (backwards ? a - b : b - a));
  return ordered.slice(0, limit + 1).map((id) => ({ id }));
}

function page(table: readonly number[], keyset: Keyset): KeysetPage<Row> {
  return keysetPage(read(table, keyset), keyset);
}

const tables = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 30 });
const limits = fc.integer({ min: 1, max: 7 });

describe('pages by key', () => {
  it('pages contain each row once, newest first, when they are read to the end', () => {
    fc.assert(
      fc.property(tables, limits, (table, limit) => {
        const seen: number[] = [];
        let from: Keyset['from'];
        do {
          const { items, older } = page(table, { limit, from });
          assert.ok(items.length <= limit);
          seen.push(...items.map(({ id }) => id));
          from = older;
        } while (from !== undefined);
        assert.deepEqual(
          seen,
          table.toSorted((a, b) => b - a),
        );
      }),
    );
  });

  it('reading back leads to the same page: the page before the next page is this page', () => {
    fc.assert(
      fc.property(tables, limits, (table, limit) => {
        let current = page(table, { limit, from: undefined });
        while (current.older !== undefined) {
          const next = page(table, { limit, from: current.older });
          assert.ok(next.newer !== undefined);
          const back = page(table, { limit, from: next.newer });
          assert.deepEqual(back.items, current.items);
          current = next;
        }
      }),
    );
  });

  it('pages show every remaining row exactly once, whatever is added and removed meanwhile', () => {
    const changes = fc.array(fc.record({ add: fc.boolean(), id: fc.integer({ min: 1, max: 60 }) }), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(tables, limits, changes, (table, limit, pending) => {
        const rows = new Set(table);
        const staying = new Set(table);
        const seen: number[] = [];
        const left = pending.slice();
        let from: Keyset['from'];
        do {
          const { items, older } = page([...rows], { limit, from });
          seen.push(...items.map(({ id }) => id));
          from = older;
          const change = left.shift();
          if (change?.add) rows.add(change.id);
          else if (change !== undefined) {
            rows.delete(change.id);
            staying.delete(change.id);
          }
        } while (from !== undefined);
        assert.equal(new Set(seen).size, seen.length);
        for (const id of staying) assert.ok(seen.includes(id));
      }),
    );
  });

  it('an empty page has no neighbours', () => {
    assert.deepEqual(page([], { limit: 5, from: undefined }), {
      items: [],
      older: undefined,
      newer: undefined,
    });
    assert.equal(page([1, 2], { limit: 2, from: undefined }).older, undefined);
    assert.equal(page([1, 2], { limit: 2, from: undefined }).newer, undefined);
  });
});
