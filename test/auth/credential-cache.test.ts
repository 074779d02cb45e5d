import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import fc from 'fast-check';
import { createCredentialCache, type LoadedCredential } from '../../src/auth/credential-cache.ts';
import { createDeferred, type Deferred } from '../../src/concurrency/deferred.ts';

const recheckMs = 15;

/** Creates a cache over a table of principals. The test completes the look-ups, with the state at their start. */
function setUp(options: { recheckMs?: number; maxEntries?: number } = {}) {
  const clock = { now: 1000 };
  const rows = new Map<string, { readonly endsAt: number }>();
  const lookUps: { readonly credential: string; readonly end: Deferred<void> }[] = [];
  const cache = createCredentialCache<string>({
    recheckMs,
    maxEntries: 100,
    now: () => clock.now,
    isInvalid: (error) => error instanceof Error && error.message === 'refused',
    ...options,
    lookUp(credential, time): Promise<LoadedCredential<string>> {
      const row = rows.get(credential);
      const end = createDeferred();
      lookUps.push({ credential, end });
      return end.promise.then(() => {
        if (row === undefined || time >= row.endsAt) throw new Error('refused');
        return { principal: credential, endsAt: row.endsAt };
      });
    },
  });
  /** Completes every look-up in progress. */
  const settle = async () => {
    for (const { end } of lookUps) end.resolve();
    await settled();
  };
  /** Gets a credential and completes its look-up. Returns the principal, and whether there was a look-up. */
  const ask = async (credential: string) => {
    const before = lookUps.length;
    const answer = Promise.resolve(cache.get(credential)).catch(() => 'refused');
    await settle();
    return { principal: await answer, lookedUp: lookUps.length > before };
  };
  const add = (credential: string, endsAt = Number.POSITIVE_INFINITY) => rows.set(credential, { endsAt });
  return { clock, rows, lookUps, cache, add, ask, settle };
}

describe('getNow', () => {
  it('getNow looks up a cached credential, and caches the result', async () => {
    const { cache, lookUps, add, ask, settle } = setUp();
    add('ada');
    await ask('ada');
    const answer = cache.getNow('ada');
    await settle();
    assert.equal(await answer, 'ada');
    assert.equal(lookUps.length, 2);
    assert.equal(cache.get('ada'), 'ada');
  });

  it('getNow removes a credential from the cache when its look-up rejects it', async () => {
    const { cache, rows, add, ask, settle } = setUp();
    add('ada');
    await ask('ada');
    rows.delete('ada');
    assert.equal(cache.get('ada'), 'ada');
    const answer = assert.rejects(cache.getNow('ada'), /refused/);
    await settle();
    await answer;
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
  });

  it('getNow keeps the cached credential when the look-up fails', async () => {
    let isAway = false;
    const cache = createCredentialCache<string>({
      recheckMs,
      maxEntries: 100,
      now: () => 1000,
      isInvalid: () => false,
      async lookUp(credential) {
        if (isAway) throw new Error('the database is away');
        return { principal: credential, endsAt: Number.POSITIVE_INFINITY };
      },
    });
    await cache.get('ada');
    isAway = true;
    await assert.rejects(cache.getNow('ada'), /away/);
    assert.equal(cache.get('ada'), 'ada');
  });
});

describe('a cached credential', () => {
  it('a cached credential is returned synchronously until its look-up is too old', async () => {
    const { cache, clock, add, ask } = setUp();
    add('ada');
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
    clock.now += recheckMs - 1;
    assert.equal(cache.get('ada'), 'ada');
    clock.now += 1;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });

  it('the age of a cached credential counts from the start of its look-up', async () => {
    const { cache, clock, add, ask, settle } = setUp();
    add('ada');
    const answer = cache.get('ada');
    clock.now += recheckMs - 1;
    await settle();
    assert.equal(await answer, 'ada');
    assert.equal(cache.get('ada'), 'ada');
    clock.now += 1;
    assert.equal((await ask('ada')).lookedUp, true);
  });

  it('a cached credential is not valid after its own expiry', async () => {
    const { clock, add, ask } = setUp();
    add('ada', clock.now + 5);
    assert.equal((await ask('ada')).principal, 'ada');
    clock.now += 4;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: false });
    clock.now += 1;
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
  });

  it('a cached credential is ignored when the clock is set back to before its look-up', async () => {
    const { clock, add, ask } = setUp();
    add('ada');
    await ask('ada');
    clock.now -= 1;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });

  it('with a recheck time of 0 every request looks up', async () => {
    const { add, ask, cache, lookUps } = setUp({ recheckMs: 0 });
    add('ada');
    await ask('ada');
    assert.equal((await ask('ada')).lookedUp, true);
    cache.get('ada');
    cache.get('ada');
    assert.equal(lookUps.length, 4);
  });
});

describe('a look-up', () => {
  it('concurrent requests share one look-up', async () => {
    const { cache, add, settle, lookUps } = setUp();
    add('ada');
    const answers = Array.from({ length: 50 }, () => cache.get('ada'));
    await settle();
    assert.deepEqual(await Promise.all(answers), new Array(50).fill('ada'));
    assert.equal(lookUps.length, 1);
  });

  it('a look-up that is too old is not shared, and does not replace a newer result', async () => {
    const { cache, clock, add, rows, lookUps } = setUp();
    add('ada');
    const early = cache.get('ada');
    rows.delete('ada');
    clock.now += recheckMs;
    const late = cache.get('ada');
    lookUps[1]?.end.resolve();
    await assert.rejects(Promise.resolve(late), /refused/);
    lookUps[0]?.end.resolve();
    assert.equal(await early, 'ada');
    await settled();
    assert.notEqual(cache.get('ada'), 'ada');
  });

  it('a request after the expiry of the found credential looks up again', async () => {
    const { cache, clock, add, settle, lookUps } = setUp();
    add('ada', clock.now + 5);
    const early = cache.get('ada');
    clock.now += 5;
    const late = cache.get('ada');
    assert.equal(lookUps.length, 1);
    await settle();
    await Promise.all([settle(), assert.rejects(Promise.resolve(late), /refused/)]);
    assert.equal(await early, 'ada');
    assert.equal(lookUps.length, 2);
  });

  it('a failed look-up is not cached, and the next request tries again', async () => {
    const { ask, add } = setUp();
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
    add('ada');
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });
});

describe('forget', () => {
  it('after forget, only the matching principals are looked up again', async () => {
    const { cache, add, ask } = setUp();
    for (const name of ['ada', 'grace']) {
      add(name);
      await ask(name);
    }
    cache.forget((principal) => principal === 'ada');
    assert.equal(cache.get('grace'), 'grace');
    assert.equal((await ask('ada')).lookedUp, true);
  });

  it('after forget, a look-up in progress is not used for later requests', async () => {
    const { cache, add, rows, settle } = setUp();
    add('ada');
    const before = cache.get('ada');
    rows.delete('ada');
    cache.forget((principal) => principal === 'ada');
    const after = cache.get('ada');
    await Promise.all([settle(), assert.rejects(Promise.resolve(after), /refused/)]);
    assert.equal(await before, 'ada');
    assert.notEqual(cache.get('ada'), 'ada');
  });
});

describe('a full cache', () => {
  it('a full cache evicts the credential with the oldest look-up', async () => {
    const { clock, add, ask } = setUp({ maxEntries: 3 });
    for (const name of ['a', 'b', 'c', 'd']) {
      add(name);
      await ask(name);
      clock.now += 1;
    }
    const lookedUp: boolean[] = [];
    for (const name of ['b', 'c', 'd', 'a']) lookedUp.push((await ask(name)).lookedUp);
    assert.deepEqual(lookedUp, [false, false, false, true]);
  });

  it('a repeated look-up renews the age of a credential', async () => {
    const { clock, add, ask } = setUp({ maxEntries: 2 });
    for (const [name, time] of [
      ['a', 0],
      ['b', recheckMs - 1],
      ['a', recheckMs],
      ['c', recheckMs + 1],
    ] as const) {
      add(name);
      clock.now = time;
      await ask(name);
    }
    assert.deepEqual([(await ask('a')).lookedUp, (await ask('b')).lookedUp], [false, true]);
  });
});

const names = ['ada', 'grace', 'edith'];
const step = fc.oneof(
  fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 2 * recheckMs }) }),
  fc.record({ what: fc.constantFrom('ask' as const, 'settle' as const), name: fc.constantFrom(...names) }),
  fc.record({
    what: fc.constantFrom('revoke' as const, 'revoke here' as const),
    name: fc.constantFrom(...names),
  }),
);

it('no credential is accepted after the recheck time of a revocation, after a local forget, or after its expiry', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 60 }),
    fc.array(fc.integer({ min: 0, max: 100 }), { minLength: names.length, maxLength: names.length }),
    async (steps, lifetimes) => {
      const { cache, clock, rows, lookUps, add, settle } = setUp({ maxEntries: 2 });
      const ends = new Map(names.map((name, index) => [name, clock.now + (lifetimes[index] ?? 0)]));
      for (const [name, endsAt] of ends) add(name, endsAt);
      const revoked = new Map<string, { readonly at: number; readonly here: boolean }>();
      const checks: Promise<void>[] = [];
      const check = async (name: string) => {
        const { now } = clock;
        const { at, here } = revoked.get(name) ?? { at: Infinity, here: false };
        const over = here || at <= now - recheckMs || now >= (ends.get(name) ?? 0);
        const standing = !revoked.has(name) && !over;
        const answer = await Promise.resolve(cache.get(name)).catch(() => 'refused');
        if (over) assert.equal(answer, 'refused');
        if (standing) assert.equal(answer, name);
      };
      for (const each of steps) {
        if (each.what === 'wait') clock.now += each.ms;
        else if (each.what === 'ask') checks.push(check(each.name));
        else if (each.what === 'settle') {
          for (const { credential, end } of lookUps) if (credential === each.name) end.resolve();
          await settled();
        } else if (!revoked.get(each.name)?.here) {
          const here = each.what === 'revoke here';
          rows.delete(each.name);
          if (here) cache.forget((principal) => principal === each.name);
          revoked.set(each.name, { at: Math.min(clock.now, revoked.get(each.name)?.at ?? Infinity), here });
        }
      }
      // A request that joined a look-up with an expired result starts another one.
      for (let round = 0; round < 2; round += 1) await settle();
      await Promise.all(checks);
    },
  );
  await fc.assert(property, { numRuns: 500 });
});
