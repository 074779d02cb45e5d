import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type LimitAnswer, leaseMs } from '../../src/limits/lease.ts';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { createPrimaryLimits } from '../../src/limits/primary-limits.ts';

const limitOf = (quota: number, name = 'login') => ({
  name,
  policies: [
    { name: 'hour', quota: 100_000, windowMs: 3_600_000 },
    { name, quota, windowMs: 60_000 },
  ],
});

const graceMs = 500;

function makePrimary(startAt = 0) {
  const clock = { now: startAt };
  const now = () => clock.now;
  const store = createMemoryLimitStore({ maxClients: 1000, now });
  const primary = createPrimaryLimits({ store, now, graceMs });
  /** Connects a worker that has defined "login". Its received messages are in `answers` and `recalled`. */
  const connect = (quota: number) => {
    const answers: LimitAnswer[] = [];
    const recalled: number[] = [];
    const end = primary.connect({
      answer: (answer) => answers.push(answer),
      recall: (lease) => recalled.push(lease),
    });
    let id = 0;
    const ask = (limit = 'login', key = 'a') => {
      id += 1;
      const before = answers.length;
      end.ask({ id, limit, key });
      return answers[before];
    };
    /** Asks until an answer includes a lease. */
    const mustGetLease = () => {
      const lease = ask()?.lease ?? ask()?.lease;
      assert.ok(lease);
      return lease;
    };
    /** Asks, returns each lease unused, and returns how many requests were allowed. */
    const countAllowed = (questions: number) => {
      let allowed = 0;
      for (let asked = 0; asked < questions; asked += 1) {
        const answer = ask();
        if (answer?.allowed) allowed += 1;
        if (answer?.lease) end.returnLease({ lease: answer.lease.id, spent: 0, lastAt: 0 });
      }
      return allowed;
    };
    end.define(limitOf(quota));
    return { ...end, answers, recalled, ask, mustGetLease, countAllowed };
  };
  /** Sweeps as often as the grace period requires, up to this time. */
  const sweepAt = (time: number) => {
    for (; clock.now < time; clock.now = Math.min(clock.now + 200, time)) primary.sweep();
    primary.sweep();
  };
  return { clock, connect, primary, sweepAt };
}

describe('the primary', () => {
  it('the answer contains the id of the question, the index of the policy and the time', () => {
    const worker = makePrimary(7).connect(1);
    const common = { policy: 1, remaining: 0, resetMs: 60_000, decidedAt: 7, lease: null };
    assert.deepEqual(worker.ask(), { id: 1, allowed: true, ...common });
    assert.deepEqual(worker.ask(), { id: 2, allowed: false, ...common });
  });

  it('the primary does not answer for a limit that only another worker has defined', () => {
    const { connect } = makePrimary();
    connect(1).define(limitOf(1, 'other'));
    assert.equal(connect(1).ask('other'), undefined);
  });

  it('a limit defined again with the same content keeps its permits', () => {
    const worker = makePrimary().connect(2);
    for (const allowed of [true, true, false]) {
      worker.define(limitOf(2));
      assert.equal(worker.ask()?.allowed, allowed);
    }
  });

  it('the primary counts for each worker by the content of its limits', () => {
    const { connect } = makePrimary();
    const [old, young] = [connect(1), connect(2)];
    assert.deepEqual(
      [old, young, old, young, young].map((worker) => worker.ask()?.allowed),
      [true, true, false, true, false],
    );
  });

  it('the primary accepts at most a hundred limits of a worker', () => {
    const worker = makePrimary().connect(1);
    for (let index = 1; index <= 100; index += 1) worker.define(limitOf(1, `limit ${index}`));
    assert.equal(worker.ask('limit 99')?.allowed, true);
    assert.equal(worker.ask('limit 100'), undefined);
    worker.define(limitOf(5, 'limit 99'));
    assert.equal(worker.ask('limit 99')?.remaining, 4);
  });
});

describe('a lease', () => {
  it('a lease is an eighth of the remaining permits, at most 1,024, and none is granted near the limit', () => {
    for (const [quota, permits] of [
      [20_000, 1024],
      [8194, 1024],
      [8193, 1023],
      [513, 63],
      [100, 12],
      [18, 2],
      [17, undefined],
      [3, undefined],
    ] as const) {
      const worker = makePrimary().connect(quota);
      worker.ask();
      const second = worker.ask();
      assert.equal(second?.lease?.permits, permits, `${quota}`);
      assert.equal(second?.remaining, quota - 2 - (permits ?? 0), `${quota}`);
    }
  });

  it('each worker has at most one lease per client, and several workers can have one', () => {
    const { connect } = makePrimary();
    const [one, other] = [connect(1000), connect(1000)];
    const first = one.mustGetLease();
    assert.equal(one.ask()?.lease, null);
    assert.ok(other.ask()?.lease);
    one.returnLease({ lease: first.id, spent: 3, lastAt: 0 });
    assert.ok(one.ask()?.lease);
  });

  it('a lease is granted only for a client with a request within the duration of a lease', () => {
    const { clock, connect } = makePrimary();
    const worker = connect(1000);
    for (clock.now of [0, leaseMs, 2 * leaseMs]) assert.equal(worker.ask()?.lease, null);
    clock.now += leaseMs - 1;
    assert.equal(worker.ask()?.lease?.expiresAt, clock.now + leaseMs);
  });

  it('only the used permits of a returned lease count', () => {
    const { connect } = makePrimary();
    const [one, other] = [connect(100), connect(100)];
    one.returnLease({ lease: one.mustGetLease().id, spent: 5, lastAt: 0 });
    assert.equal(other.ask()?.remaining, 100 - 2 - 5 - 1 - 11);
  });

  it('a lease cannot be returned by another worker, nor twice', () => {
    const { connect } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    const lease = one.mustGetLease();
    other.returnLease({ lease: lease.id, spent: 0, lastAt: 0 });
    one.returnLease({ lease: lease.id, spent: 2, lastAt: 0 });
    one.returnLease({ lease: lease.id, spent: 0, lastAt: 0 });
    assert.equal(other.countAllowed(20), 20 - 2 - 2);
  });

  it('leases are recalled before a rejection, and waiting questions are answered in order from the returned permits', () => {
    const { connect } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    const lease = one.mustGetLease();
    assert.equal(lease.permits, 2);
    assert.equal(other.countAllowed(18), 16);
    assert.deepEqual([one.recalled, other.answers.length], [[lease.id], 16]);
    one.returnLease({ lease: lease.id, spent: 1, lastAt: 0 });
    assert.deepEqual(
      other.answers.slice(16).map(({ id, allowed }) => [id, allowed]),
      [
        [17, true],
        [18, false],
      ],
    );
  });

  it('a lease that is not returned counts as used at its expiry, after a question has waited for the grace period', () => {
    const { clock, connect, sweepAt } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    const { expiresAt } = one.mustGetLease();
    assert.equal(other.countAllowed(17), 16);
    sweepAt(expiresAt + graceMs - 1);
    assert.equal(other.answers.length, 16);
    sweepAt(expiresAt + graceMs);
    assert.equal(other.answers.at(-1)?.allowed, false);
    clock.now = 60_000;
    assert.equal(other.countAllowed(20), 18);
    clock.now = expiresAt + 59_999;
    assert.equal(other.countAllowed(1), 0);
    clock.now = expiresAt + 60_000;
    assert.equal(other.countAllowed(3), 2);
  });

  it('a lease is not lost if the primary was blocked and its returned has arrived', () => {
    const { clock, connect, primary } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    const lease = one.mustGetLease();
    assert.equal(other.countAllowed(18), 16);
    clock.now = 5000;
    primary.sweep();
    one.returnLease({ lease: lease.id, spent: 0, lastAt: 0 });
    assert.equal(other.answers.filter(({ allowed }) => allowed).length, 18);
  });

  it('a lease of a worker that exited counts as used immediately', () => {
    const { clock, connect, primary } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    one.mustGetLease();
    one.close();
    assert.equal(primary.leases, 0);
    assert.deepEqual([other.countAllowed(20), one.recalled], [16, []]);
    clock.now = 60_000;
    assert.equal(other.countAllowed(2), 2);
  });

  it('a lease that is not returned expires even if no question waits for it', () => {
    const { connect, primary, sweepAt } = makePrimary();
    connect(1000).mustGetLease();
    sweepAt(60_000);
    assert.equal(primary.leases, 0);
  });

  it('the log of a client with a lease is not dropped as idle', () => {
    const { clock, connect } = makePrimary();
    const [one, other] = [connect(20), connect(20)];
    const lease = one.mustGetLease();
    clock.now = 4_000_000;
    for (const key of ['b', 'c', 'd']) other.ask('login', key);
    assert.equal(other.countAllowed(20), 18);
    one.returnLease({ lease: lease.id, spent: 2, lastAt: clock.now });
    assert.equal(other.answers.at(-1)?.allowed, false);
  });
});
