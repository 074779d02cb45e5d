import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../../../src/errors.ts';
import {
  type Attempts,
  createAttempts,
  type PasswordAttempt,
} from '../../../../src/features/identity/attempts/attempts.ts';
import { deleteOldAttempts } from '../../../../src/features/identity/attempts/store.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { mustConnect, mustCreateDatabase } from '../../../helpers/test-database.ts';

const url = await mustCreateDatabase({ after });
const start = Date.parse('2026-01-01T00:00:00Z');
let accounts = 0;

/** Attempts at an account that no other test uses, with a clock that the test moves. */
function mustPrepare(t: TestContext) {
  const captured = captureLog();
  const database = mustConnect(t, { url });
  let seconds = 0;
  const attempts = createAttempts({
    database,
    log: captured.log,
    now: () => new Date(start + seconds * 1000),
  });
  accounts += 1;
  const account = `Ada${accounts}@example.org`;
  const user = { id: accounts, email: account };
  return {
    database,
    captured,
    account,
    user,
    attempts,
    /** Lets time pass. */
    wait(passed: number) {
      seconds += passed;
    },
    /** The seconds to wait, or 0 for a permit. */
    tries: (address: string, login = account) => secondsToWait(admitted(attempts, { login, address })),
    /** The same for who is signed in. */
    triesSignedIn: (address: string) => secondsToWait(admitted(attempts, { userId: user.id, address })),
    /** Takes a permit and finds that no password can be compared. */
    isTurnedAway: (address: string) => mustBeTurnedAway(attempts, { login: account, address }),
    succeeds: (address: string) => attempts.succeeded(user, address),
  };
}

const admitted = (attempts: Attempts, attempt: PasswordAttempt) =>
  attempts.underPermit(attempt, async () => {});

const mustBeTurnedAway = (attempts: Attempts, attempt: PasswordAttempt) =>
  assert.rejects(
    attempts.underPermit(attempt, async () => {
      throw new AppError('not_ready', 'Too many passwords are being worked on.');
    }),
    { code: 'not_ready' },
  );

async function secondsToWait(admission: Promise<void>): Promise<number> {
  try {
    await admission;
    return 0;
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === 'rate_limited', String(error));
    return Number(error.headers?.['retry-after']);
  }
}

const home = '192.0.2.1';
const cafe = '198.51.100.7';

/** Returns an address that no other test uses. */
const stranger = (n: number) => `10.0.${Math.floor(n / 250)}.${n % 250}`;

describe('guesses from one address', () => {
  it('an address has five immediate guesses, then waits that double up to a quarter of an hour', async (t) => {
    const { tries, wait } = mustPrepare(t);
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await tries(cafe), 0);
    for (const seconds of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]) {
      assert.equal(await tries(cafe), seconds);
      wait(seconds - 0.5);
      assert.equal(await tries(cafe), 1, 'half a second is rounded up to a whole one');
      wait(0.5);
      assert.equal(await tries(cafe), 0);
    }
  });

  it('one address has at most 109 guesses on the first day', async (t) => {
    const { tries, wait } = mustPrepare(t);
    let permits = 0;
    for (let left = 86_400; left >= 0; ) {
      const seconds = await tries(cafe);
      if (seconds === 0) permits += 1;
      wait(seconds);
      left -= seconds;
    }
    assert.equal(permits, 109);
  });

  it('guesses are counted per login in any case, and per IPv6 network', async (t) => {
    const { tries, account } = mustPrepare(t);
    for (let nth = 1; nth <= 5; nth += 1) {
      assert.equal(await tries(`2001:db8:1:2::${nth}`, nth % 2 === 0 ? account.toUpperCase() : account), 0);
    }
    assert.equal(await tries('2001:db8:1:2:ffff::1'), 1);
    assert.equal(await tries('2001:db8:1:3::1'), 0);
  });

  it('each account and each address has its own count', async (t) => {
    const { tries } = mustPrepare(t);
    for (let nth = 1; nth <= 6; nth += 1) await tries(cafe);
    assert.equal(await tries(cafe), 1);
    assert.equal(await tries(home), 0);
    assert.equal(await tries(cafe, `${accounts}-nobody`), 0);
  });

  it('guesses are forgotten after a success and after a day without attempts', async (t) => {
    const { tries, succeeds, wait } = mustPrepare(t);
    for (let nth = 1; nth <= 5; nth += 1) await tries(cafe);
    await succeeds(cafe);
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await tries(cafe), 0);
    assert.equal(await tries(cafe), 1);
    wait(86_400);
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await tries(cafe), 0);
    assert.equal(await tries(cafe), 1);
  });

  it('rejected guesses do not extend the wait', async (t) => {
    const { tries, wait } = mustPrepare(t);
    for (let nth = 1; nth <= 30; nth += 1) await tries(cafe);
    wait(1);
    assert.equal(await tries(cafe), 0);
  });

  it('five of fifty parallel guesses at two processes are admitted', async (t) => {
    const { account } = mustPrepare(t);
    const processes = [1, 2].map(() =>
      createAttempts({
        database: mustConnect(t, { url }),
        log: captureLog().log,
        now: () => new Date(start),
      }),
    );
    const waits = await Promise.all(
      Array.from({ length: 25 }, () =>
        processes.map((each) => secondsToWait(admitted(each, { login: account, address: cafe }))),
      ).flat(),
    );
    assert.equal(waits.filter((seconds) => seconds === 0).length, 5);
  });
});

describe('guesses by a signed-in user', () => {
  it('guesses of a signed-in user are counted for the user, separately from every login', async (t) => {
    const { tries, triesSignedIn, user } = mustPrepare(t);
    for (let nth = 1; nth <= 5; nth += 1) {
      assert.equal(await tries(cafe, `user:${user.id}`), 0);
      assert.equal(await tries(cafe, String(user.id)), 0);
    }
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await triesSignedIn(cafe), 0);
    assert.equal(await triesSignedIn(cafe), 1);
    assert.equal(await tries(cafe), 0);
  });

  it('guesses of a signed-in user and guesses at the login do not delay each other', async (t) => {
    const { tries, triesSignedIn } = mustPrepare(t);
    for (let n = 0; n < 31; n += 1) await tries(stranger(n));
    assert.equal(await tries(cafe), 1);
    for (let n = 0; n < 30; n += 1) assert.equal(await triesSignedIn(stranger(n)), 0);
    assert.equal(await triesSignedIn(cafe), 1);
  });
});

describe('an attempt for which no password was compared', () => {
  it('an attempt without a comparison costs its address no permit, even during a wait', async (t) => {
    const { tries, isTurnedAway, wait } = mustPrepare(t);
    for (let nth = 1; nth <= 10; nth += 1) await isTurnedAway(cafe);
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await tries(cafe), 0);
    assert.equal(await tries(cafe), 1);
    wait(1);
    for (let nth = 1; nth <= 10; nth += 1) await isTurnedAway(cafe);
    assert.equal(await tries(cafe), 0);
    assert.equal(await tries(cafe), 2);
  });

  it('an attempt without a comparison costs the strangers no permit, and from a known address returns none to them', async (t) => {
    const { tries, isTurnedAway, succeeds } = mustPrepare(t);
    for (let n = 0; n < 40; n += 1) await isTurnedAway(stranger(n));
    await succeeds(home);
    for (let n = 0; n < 29; n += 1) assert.equal(await tries(stranger(n)), 0);
    await isTurnedAway(home);
    assert.equal(await tries(cafe), 0);
    assert.equal(await tries(cafe), 1);
  });

  it('an attempt that fails in another way is counted', async (t) => {
    const { attempts, account, tries } = mustPrepare(t);
    const wrong = () =>
      attempts.underPermit({ login: account, address: cafe }, () =>
        Promise.reject(new AppError('unauthenticated', 'Wrong.')),
      );
    for (let nth = 1; nth <= 5; nth += 1) await assert.rejects(wrong(), { code: 'unauthenticated' });
    assert.equal(await tries(cafe), 1);
  });
});

describe('guesses from many addresses', () => {
  it('all unknown addresses together have thirty guesses without a delay, then delays that double up to a minute', async (t) => {
    const { tries, wait } = mustPrepare(t);
    let addresses = 0;
    const next = () => {
      addresses += 1;
      return tries(stranger(addresses));
    };
    for (let nth = 1; nth <= 30; nth += 1) assert.equal(await next(), 0);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      assert.equal(await next(), seconds);
      wait(seconds);
      assert.equal(await next(), 0);
    }
  });

  it('thirty of fifty parallel guesses from many addresses are admitted', async (t) => {
    const { tries } = mustPrepare(t);
    const waits = await Promise.all(Array.from({ length: 50 }, (_, n) => tries(stranger(n))));
    assert.equal(waits.filter((seconds) => seconds === 0).length, 30);
  });

  it('guesses of strangers do not delay a known address, and only delay an unknown one', async (t) => {
    const { tries, succeeds, wait } = mustPrepare(t);
    assert.equal(await tries(home), 0);
    await succeeds(home);
    for (let n = 0; n < 60; n += 1) {
      await tries(stranger(n));
      wait(10);
    }
    for (let nth = 1; nth <= 5; nth += 1) assert.equal(await tries(home), 0);
    assert.equal(await tries(home), 1, 'the owner has the count of the address alone');
    const seconds = await tries(cafe);
    assert.ok(seconds > 0 && seconds <= 60, `${seconds} s`);
    wait(seconds);
    assert.equal(await tries(cafe), 0);
  });

  it('after a correct password, the owner is not delayed under any of the names', async (t) => {
    const { succeeds, attempts, user } = mustPrepare(t);
    const accountsOfUser = [{ login: user.email }, { usernameOf: user.id }, { userId: user.id }];
    const triesAll = (address: string) =>
      Promise.all(
        accountsOfUser.map((account) => secondsToWait(admitted(attempts, { ...account, address }))),
      );
    await succeeds(home);
    for (let n = 0; n < 31; n += 1) await triesAll(stranger(n));
    assert.deepEqual(await triesAll(cafe), [1, 1, 1]);
    assert.deepEqual(await triesAll(home), [0, 0, 0]);
  });

  it('a rejection by the common count does not extend the wait of an address', async (t) => {
    const { tries } = mustPrepare(t);
    for (let n = 0; n < 30; n += 1) await tries(stranger(n));
    for (let nth = 1; nth <= 10; nth += 1) assert.equal(await tries(cafe), 1, 'the wait of the strangers');
  });

  it('an address that was known more than thirty days ago counts as a stranger', async (t) => {
    const { tries, succeeds, wait } = mustPrepare(t);
    await succeeds(home);
    wait(30 * 86_400 - 1);
    for (let n = 0; n < 30; n += 1) await tries(stranger(n));
    assert.equal(await tries(home), 0);
    wait(1);
    assert.equal(await tries(stranger(31)), 0);
    assert.equal(await tries(home), 2);
  });

  it('successes are not counted, so changing addresses causes no wait', async (t) => {
    const { tries, succeeds } = mustPrepare(t);
    for (let n = 0; n < 60; n += 1) {
      assert.equal(await tries(stranger(n)), 0);
      await succeeds(stranger(n));
    }
  });
});

it('a throttled attempt is logged without naming the account', async (t) => {
  const { tries, captured, account } = mustPrepare(t);
  for (let nth = 1; nth <= 6; nth += 1) await tries(cafe);
  const [line, ...more] = captured.of('auth.login.throttled');
  assert.deepEqual(more, []);
  assert.equal(line?.client_address, cafe);
  assert.equal(line?.count, 'address');
  assert.equal(line?.wait_seconds, 1);
  assert.match(String(line?.account_hash), /^[0-9a-f]{12}$/);
  assert.ok(!captured.text().toLowerCase().includes(account.toLowerCase()));
});

it('expired rows are deleted in batches, and no others', async (t) => {
  const database = mustConnect(t, { url: await mustCreateDatabase(t) });
  const daysAgo = (days: number) =>
    createAttempts({
      database,
      log: captureLog().log,
      now: () => new Date(Date.now() - days * 86_400_000),
    });
  for (const login of ['a', 'b', 'c']) await admitted(daysAgo(1.1), { login, address: home });
  await admitted(daysAgo(0.9), { login: 'tried-today', address: home });
  await daysAgo(29).succeeded({ id: 1, email: 'known@example.org' }, home);
  await daysAgo(31).succeeded({ id: 2, email: 'known-once@example.org' }, home);
  assert.equal(await deleteOldAttempts(database.sql, 4), 4);
  assert.equal(await deleteOldAttempts(database.sql, 4), 4);
  assert.equal(await deleteOldAttempts(database.sql, 4), 1);
  const [left] = await database.sql`select count(*)::int as rows from login_attempts`;
  assert.equal(left?.rows, 5, "today's with the strangers' and the three of the known one");
});

it('any sequence of attempts, successes and pauses matches the model of the two counts', async (t) => {
  const database = mustConnect(t, { url });
  const addresses = [home, cafe, stranger(1), stranger(2)];
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('try'), address: fc.constantFrom(...addresses) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('success', 'turned away'),
        address: fc.constantFrom(...addresses),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('wait'), seconds: fc.constantFrom(1, 7, 60, 900, 90_000) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      accounts += 1;
      const user = { id: accounts, email: `course${accounts}@example.org` };
      let seconds = 0;
      const attempts = createAttempts({
        database,
        log: captureLog().log,
        now: () => new Date(start + seconds * 1000),
      });
      const model = modelOfCounts();
      for (const each of steps) {
        if ('seconds' in each) seconds += each.seconds;
        else if (each.kind === 'success') {
          await attempts.succeeded(user, each.address);
          model.succeeded(each.address, seconds);
        } else {
          const attempt = { login: user.email, address: each.address };
          const wait = model.admit(each.address, seconds);
          if (each.kind === 'turned away' && wait === 0) {
            await mustBeTurnedAway(attempts, attempt);
            model.turnedAway(each.address, seconds);
          } else {
            assert.equal(await secondsToWait(admitted(attempts, attempt)), wait);
          }
        }
      }
    }),
    { numRuns: 25 },
  );
});

/** The rules of the counts over plain numbers. */
function modelOfCounts() {
  const counts = new Map<string, { attempts: number; nextAt: number; quietAt: number; knownUntil: number }>();
  const countOf = (address: string) => {
    const count = counts.get(address) ?? { attempts: 0, nextAt: 0, quietAt: 0, knownUntil: 0 };
    counts.set(address, count);
    return count;
  };
  const take = (address: string, now: number, free: number, maxWait: number) => {
    const count = countOf(address);
    if (now >= count.quietAt) count.attempts = 0;
    count.attempts += 1;
    count.quietAt = now + 86_400;
    if (count.attempts >= free) count.nextAt = now + Math.min(maxWait, 2 ** (count.attempts - free));
  };
  return {
    admit(address: string, now: number): number {
      const own = countOf(address);
      const shared = countOf('*');
      const known = own.knownUntil > now;
      if (own.nextAt > now) return own.nextAt - now;
      if (!known && shared.nextAt > now) return shared.nextAt - now;
      take(address, now, 5, 900);
      if (!known) take('*', now, 30, 60);
      return 0;
    },
    succeeded(address: string, now: number) {
      const own = countOf(address);
      const shared = countOf('*');
      const hadPermit = own.knownUntil <= now && own.attempts > 0 && own.quietAt > now;
      if (hadPermit) shared.attempts = Math.max(0, shared.attempts - 1);
      counts.set(address, { attempts: 0, nextAt: 0, quietAt: now, knownUntil: now + 30 * 86_400 });
    },
    turnedAway(address: string, now: number) {
      const own = countOf(address);
      const given = own.knownUntil > now ? [own] : [own, countOf('*')];
      for (const count of given) {
        count.attempts = Math.max(0, count.attempts - 1);
        count.nextAt = 0;
      }
    },
  };
}

it('a clock that was ahead and is set back does not lock an account', async (t) => {
  const { tries, wait } = mustPrepare(t);
  for (let attempt = 0; attempt < 12; attempt += 1) await tries('192.0.2.1');
  assert.ok((await tries('192.0.2.1')) > 0);
  wait(-86_400);
  assert.equal(await tries('192.0.2.1'), 0);
});
