import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import fc from 'fast-check';
import { createCredentialCache, type Found } from '../../src/auth/credential-cache.ts';
import { createDeferred, type Deferred } from '../../src/concurrency/deferred.ts';

const recheckMs = 15;

/** A cache over a table of principals, whose look-ups are answered when the test says so, with what was true when they began. */
function world(options: { recheckMs?: number; maxEntries?: number } = {}) {
  const clock = { now: 1000 };
  const rows = new Map<string, { readonly endsAt: number }>();
  const lookUps: { readonly credential: string; readonly end: Deferred<void> }[] = [];
  const cache = createCredentialCache<string>({
    recheckMs,
    maxEntries: 100,
    now: () => clock.now,
    isRefusal: (error) => error instanceof Error && error.message === 'refused',
    ...options,
    lookUp(credential, time): Promise<Found<string>> {
      const row = rows.get(credential);
      const end = createDeferred();
      lookUps.push({ credential, end });
      return end.promise.then(() => {
        if (row === undefined || time >= row.endsAt) throw new Error('refused');
        return { principal: credential, endsAt: row.endsAt };
      });
    },
  });
  /** Answers every look-up that is under way. */
  const settle = async () => {
    for (const { end } of lookUps) end.resolve();
    await settled();
  };
  /** Asks, and answers the look-up if there is one. Says who it is, and whether there was one. */
  const ask = async (credential: string) => {
    const before = lookUps.length;
    const answer = Promise.resolve(cache.get(credential)).catch(() => 'refused');
    await settle();
    return { principal: await answer, lookedUp: lookUps.length > before };
  };
  const add = (credential: string, endsAt = Number.POSITIVE_INFINITY) => rows.set(credential, { endsAt });
  return { clock, rows, lookUps, cache, add, ask, settle };
}

describe('a credential that must be looked up now', () => {
  it('is looked up although it is known, and is known afterwards', async () => {
    const { cache, lookUps, add, ask, settle } = world();
    add('ada');
    await ask('ada');
    const answer = cache.getNow('ada');
    await settle();
    assert.equal(await answer, 'ada');
    assert.equal(lookUps.length, 2);
    assert.equal(cache.get('ada'), 'ada');
  });

  it('is unknown to everybody as soon as its look-up finds it refused', async () => {
    const { cache, rows, add, ask, settle } = world();
    add('ada');
    await ask('ada');
    rows.delete('ada');
    assert.equal(cache.get('ada'), 'ada');
    const answer = assert.rejects(cache.getNow('ada'), /refused/);
    await settle();
    await answer;
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
  });

  it('stays known when the look-up fails without an answer', async () => {
    let isAway = false;
    const cache = createCredentialCache<string>({
      recheckMs,
      maxEntries: 100,
      now: () => 1000,
      isRefusal: () => false,
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

describe('a credential that was looked up a moment ago', () => {
  it('is known without a promise, until its look-up is as old as it may be', async () => {
    const { cache, clock, add, ask } = world();
    add('ada');
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
    clock.now += recheckMs - 1;
    assert.equal(cache.get('ada'), 'ada');
    clock.now += 1;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });

  it('counts its age from the start of the look-up, however long that took', async () => {
    const { cache, clock, add, ask, settle } = world();
    add('ada');
    const answer = cache.get('ada');
    clock.now += recheckMs - 1;
    await settle();
    assert.equal(await answer, 'ada');
    assert.equal(cache.get('ada'), 'ada');
    clock.now += 1;
    assert.equal((await ask('ada')).lookedUp, true);
  });

  it('is not known after its own end', async () => {
    const { clock, add, ask } = world();
    add('ada', clock.now + 5);
    assert.equal((await ask('ada')).principal, 'ada');
    clock.now += 4;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: false });
    clock.now += 1;
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
  });

  it('is not believed when the clock is set back to before its look-up', async () => {
    const { clock, add, ask } = world();
    add('ada');
    await ask('ada');
    clock.now -= 1;
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });

  it('is looked up every time where nothing is to be believed for any time', async () => {
    const { add, ask, cache, lookUps } = world({ recheckMs: 0 });
    add('ada');
    await ask('ada');
    assert.equal((await ask('ada')).lookedUp, true);
    cache.get('ada');
    cache.get('ada');
    assert.equal(lookUps.length, 4);
  });
});

describe('a look-up', () => {
  it('is one for all who ask meanwhile', async () => {
    const { cache, add, settle, lookUps } = world();
    add('ada');
    const answers = Array.from({ length: 50 }, () => cache.get('ada'));
    await settle();
    assert.deepEqual(await Promise.all(answers), new Array(50).fill('ada'));
    assert.equal(lookUps.length, 1);
  });

  it('is not for who asks when it has become too old, and then does not replace what is newer', async () => {
    const { cache, clock, add, rows, lookUps } = world();
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

  it('is not for who asks after the end of what it finds, and is done again for them', async () => {
    const { cache, clock, add, settle, lookUps } = world();
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

  it('that fails is forgotten, and the next who asks tries again', async () => {
    const { ask, add } = world();
    assert.deepEqual(await ask('ada'), { principal: 'refused', lookedUp: true });
    add('ada');
    assert.deepEqual(await ask('ada'), { principal: 'ada', lookedUp: true });
  });
});

describe('to forget', () => {
  it('makes the next who asks look up, for those who are meant and for nobody else', async () => {
    const { cache, add, ask } = world();
    for (const name of ['ada', 'grace']) {
      add(name);
      await ask(name);
    }
    cache.forget((principal) => principal === 'ada');
    assert.equal(cache.get('grace'), 'grace');
    assert.equal((await ask('ada')).lookedUp, true);
  });

  it('keeps the answer of a look-up under way from those who ask afterwards', async () => {
    const { cache, add, rows, settle } = world();
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

describe('of more credentials than there is room for', () => {
  it('those go first whose look-up is longest ago', async () => {
    const { clock, add, ask } = world({ maxEntries: 3 });
    for (const name of ['a', 'b', 'c', 'd']) {
      add(name);
      await ask(name);
      clock.now += 1;
    }
    const lookedUp: boolean[] = [];
    for (const name of ['b', 'c', 'd', 'a']) lookedUp.push((await ask(name)).lookedUp);
    assert.deepEqual(lookedUp, [false, false, false, true]);
  });

  it('one that was looked up again is as young as that', async () => {
    const { clock, add, ask } = world({ maxEntries: 2 });
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

it('nobody is let in later than the stated time after a revocation, at all after one here, or after the end', async () => {
  const property = fc.asyncProperty(
    fc.array(step, { maxLength: 60 }),
    fc.array(fc.integer({ min: 0, max: 100 }), { minLength: names.length, maxLength: names.length }),
    async (steps, lifetimes) => {
      const { cache, clock, rows, lookUps, add, settle } = world({ maxEntries: 2 });
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
      // Who joined a look-up that turned out to be of no use begins another one.
      for (let round = 0; round < 2; round += 1) await settle();
      await Promise.all(checks);
    },
  );
  await fc.assert(property, { numRuns: 500 });
});
