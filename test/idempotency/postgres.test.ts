import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Claim, StoredReply } from '../../src/idempotency/idempotency-store.ts';
import { createIdempotencyStore, deleteExpiredKeys } from '../../src/idempotency/postgres.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after });
const { sql, transaction } = database;
await sql`create table effect (attempt uuid not null)`;
const store = createIdempotencyStore({ database, leaseMs: 60_000, keepMs: 86_400_000 });

beforeEach(async () => {
  await sql`truncate idempotency_keys, effect`;
});

const digest = () => randomBytes(32);
const newClaim = (of: Partial<Claim> = {}): Claim => ({
  scope: 'user:1',
  key: digest(),
  fingerprint: digest(),
  attempt: randomUUID(),
  ...of,
});
const again = (claim: Claim): Claim => ({ ...claim, attempt: randomUUID() });
const answer: StoredReply = {
  status: 201,
  headers: { 'content-type': 'application/json', location: '/things/1', etag: '"v1"' },
  body: '{"name":"Ümläut 🦉 \\u0000 \\" \'"}',
};

const begin = async (claim: Claim) => (await store.begin(claim)).kind;

/** Executes an attempt: its effect and its response in one transaction, which rolls back if the row is lost. */
async function work(claim: Claim, reply = answer): Promise<boolean> {
  const fenced = new Error('fenced');
  return transaction(async (tx) => {
    await tx`insert into effect values (${claim.attempt})`;
    if (!(await store.complete(tx, claim, reply))) throw fenced;
    return true;
  }).catch((error: unknown) => {
    if (error !== fenced) throw error;
    return false;
  });
}

async function effects(): Promise<string[]> {
  const rows = await sql<{ attempt: string }[]>`select attempt from effect`;
  return rows.map(({ attempt }) => attempt);
}

/** Expires every row. */
const passTime = () => sql`update idempotency_keys set expires_at = now() - interval '1 ms'`;

describe('a key', () => {
  it('one of 50 attempts that begin in parallel claims the key', async () => {
    const claim = newClaim();
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => begin(again(claim))));
    assert.deepEqual(outcomes.toSorted(), [...Array(49).fill('running'), 'started']);
  });

  it('a key returns the response exactly as stored, with or without a body', async () => {
    for (const reply of [answer, { status: 204, headers: {}, body: null }]) {
      const claim = newClaim();
      assert.equal(await begin(claim), 'started');
      assert.equal(await work(claim, reply), true);
      assert.deepEqual({ ...(await store.begin(again(claim))) }, { kind: 'done', ...reply });
    }
  });

  it('a key belongs to its first request while it runs and when it is done', async () => {
    const claim = newClaim();
    const other = newClaim({ key: claim.key });
    await begin(claim);
    assert.equal(await begin(other), 'mismatch');
    await work(claim);
    assert.equal(await begin(other), 'mismatch');
    assert.equal(await begin(again(claim)), 'done');
  });

  it('the same key in another scope is a different key', async () => {
    const claim = newClaim();
    assert.equal(await begin(claim), 'started');
    assert.equal(await begin({ ...again(claim), scope: 'user:2' }), 'started');
    assert.equal(await begin({ ...again(claim), scope: 'anonymous' }), 'started');
  });

  it('a released key is free, even for another request', async () => {
    const claim = newClaim();
    await begin(claim);
    await store.release(claim);
    assert.equal(await begin(newClaim({ key: claim.key })), 'started');
  });

  it('a key stays claimed when another attempt releases it, or when it is done', async () => {
    const claim = newClaim();
    await begin(claim);
    await store.release(again(claim));
    assert.equal(await begin(again(claim)), 'running');
    await work(claim);
    await store.release(claim);
    assert.equal(await begin(again(claim)), 'done');
  });

  it('a key is free after its response has expired', async () => {
    const claim = newClaim();
    await begin(claim);
    await work(claim);
    await passTime();
    assert.equal(await begin(newClaim({ key: claim.key })), 'started');
  });
});

/** Begins while another transaction has made `change` to the row and has not committed. */
async function beginMeanwhile(claim: Claim, change: (other: typeof store) => Promise<unknown>) {
  const waits = async () => {
    const rows = await sql`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return rows.length > 0;
  };
  const kind = await transaction(async (tx) => {
    await change(createIdempotencyStore({ database: { sql: tx }, leaseMs: 60_000 }));
    const outcomes = begin(claim);
    await eventually('the other one waits for the row', waits);
    return { outcomes };
  });
  return kind.outcomes;
}

describe('a key that is changed concurrently', () => {
  it('an expired key that another attempt is claiming is reported as running, without the expired response', async () => {
    const claim = newClaim();
    await begin(claim);
    await work(claim);
    await passTime();
    assert.equal(await beginMeanwhile(again(claim), (other) => other.begin(again(claim))), 'running');
  });

  it('a key is claimed when a concurrent release commits', async () => {
    const claim = newClaim();
    await begin(claim);
    assert.equal(await beginMeanwhile(again(claim), (other) => other.release(claim)), 'started');
  });
});

describe('a stored response', () => {
  it('a response disappears with its effect when the transaction rolls back', async () => {
    const claim = newClaim();
    await begin(claim);
    const failure = new Error('after the answer was stored');
    const failing = transaction(async (tx) => {
      await tx`insert into effect values (${claim.attempt})`;
      assert.equal(await store.complete(tx, claim, answer), true);
      throw failure;
    });
    await assert.rejects(failing, failure);
    assert.deepEqual(await effects(), []);
    assert.equal(await begin(again(claim)), 'running');
  });

  it('a response is rejected outside the transaction of its effect', async () => {
    const claim = newClaim();
    await begin(claim);
    for (const none of [sql, undefined, {}, () => {}]) {
      await assert.rejects(store.complete(none, claim, answer), /stored in the transaction of its effect/);
    }
    assert.equal(await begin(again(claim)), 'running');
  });

  it('a response of an unknown attempt is rejected', async () => {
    assert.equal(await work(newClaim()), false);
    assert.deepEqual(await effects(), []);
  });
});

describe('an attempt whose process has died', () => {
  it('an attempt whose process paused beyond its lease loses the row to the next one and is fenced', async () => {
    const dead = newClaim();
    await begin(dead);
    await passTime();
    const next = again(dead);
    assert.equal(await begin(next), 'started');
    assert.equal(await begin(again(dead)), 'running', 'the new attempt has a lease of its own');

    assert.equal(await work(dead), false);
    await store.release(dead);
    assert.equal(await work(next), true);
    assert.deepEqual(await effects(), [next.attempt]);
  });

  it('one of 20 parallel attempts replaces an attempt whose process has died', async () => {
    const dead = newClaim();
    await begin(dead);
    await passTime();
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => begin(again(dead))));
    assert.equal(outcomes.filter((kind) => kind === 'started').length, 1);
  });

  it('a paused attempt does not own the row after another attempt claimed and released it', async () => {
    const dead = newClaim();
    await begin(dead);
    await passTime();
    const second = again(dead);
    await begin(second);
    await store.release(second);
    const third = newClaim({ key: dead.key });
    assert.equal(await begin(third), 'started');
    assert.equal(await work(dead), false);
    assert.equal(await work(third), true);
    assert.deepEqual(await effects(), [third.attempt]);
  });
});

describe('deleteExpiredKeys', () => {
  it('deleteExpiredKeys deletes at most the given number of expired rows, and no others', async () => {
    for (let count = 0; count < 3; count += 1) await begin(newClaim());
    await passTime();
    const alive = newClaim();
    await begin(alive);
    assert.equal(await deleteExpiredKeys(sql, 2), 2);
    assert.equal(await deleteExpiredKeys(sql, 2), 1);
    assert.equal(await deleteExpiredKeys(sql, 2), 0);
    assert.equal(await begin(again(alive)), 'running');
  });
});

/** A step of the property below: an operation, and which attempt at which of two requests executes it. */
const steps = fc.array(
  fc.record({
    action: fc.constantFrom('begin', 'work', 'release', 'pass', 'delete'),
    attempt: fc.nat(3),
  }),
  { maxLength: 14 },
);

it('in any order of events the store follows the state machine, and a done row has exactly one effect', async () => {
  interface Row {
    state: 'running' | 'done';
    claim: Claim;
    expired: boolean;
  }
  await fc.assert(
    fc.asyncProperty(steps, async (events) => {
      const requests = [digest(), digest()];
      const key = digest();
      const attempts = Array.from({ length: 4 }, (_, index) =>
        newClaim({ key, fingerprint: requests[index % 2] ?? digest() }),
      );
      let row: Row | undefined;
      let expectedEffects: string[] = [];
      await sql`truncate idempotency_keys, effect`;

      for (const { action, attempt } of events) {
        const claim = attempts[attempt] ?? newClaim();
        const isMine = row?.state === 'running' && row.claim === claim;
        if (action === 'begin') {
          const alive: Row | undefined = row?.expired ? undefined : row;
          const expected =
            alive === undefined
              ? 'started'
              : alive.claim.fingerprint !== claim.fingerprint
                ? 'mismatch'
                : alive.state;
          assert.equal(await begin(claim), expected);
          if (expected === 'started') row = { state: 'running', claim, expired: false };
        } else if (action === 'work') {
          assert.equal(await work(claim), isMine);
          if (isMine) {
            row = { state: 'done', claim, expired: false };
            expectedEffects = [...expectedEffects, claim.attempt];
          }
        } else if (action === 'release') {
          await store.release(claim);
          if (isMine) row = undefined;
        } else if (action === 'pass') {
          await passTime();
          if (row !== undefined) row.expired = true;
        } else {
          assert.equal(await deleteExpiredKeys(sql, 10), row?.expired ? 1 : 0);
          if (row?.expired) row = undefined;
        }
      }
      assert.deepEqual((await effects()).toSorted(), expectedEffects.toSorted());
    }),
    { numRuns: 60 },
  );
});
