import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ClientLogsOptions, createClientLogs } from '../../src/limits/client-logs.ts';
import type { Policy } from '../../src/limits/limit-store.ts';

const policies = [{ name: 'minute', quota: 2, windowMs: 60_000 }];

/** Creates the logs of one limit, with a clock that the test sets. */
function makeLogs(options: Partial<ClientLogsOptions> & { policies?: readonly Policy[] } = {}) {
  const { policies: these = policies, ...rest } = options;
  const clock = { now: 0 };
  const logs = createClientLogs(these, { maxClients: 3, now: () => clock.now, ...rest });
  const take = (key: string) => logs.take(these, key);
  return { clock, logs, take, use: (...keys: string[]) => keys.map((key) => take(key).allowed) };
}

describe('the logs of a limit', () => {
  it('times between milliseconds are rounded down, so that no request is allowed too early', () => {
    const { clock, use } = makeLogs();
    clock.now = 0.9;
    use('a', 'a');
    clock.now = 59_999.99;
    assert.deepEqual(use('a'), [false]);
    clock.now = 60_000.9;
    assert.deepEqual(use('a'), [true]);
  });
});

describe('the release of reserved permits', () => {
  it('released permits count towards the memory bound', () => {
    const { logs, use } = makeLogs({
      maxPermits: 10,
      policies: [{ name: 'minute', quota: 20, windowMs: 60_000 }],
    });
    use('a', 'b');
    const log = logs.find('a');
    assert.ok(log);
    log.reserve(9);
    logs.release('a', log, 9, 9, 0);
    use('c');
    assert.equal(logs.find('a'), undefined);
    assert.ok(logs.find('b'));
  });

  it('a release for a client that was dropped in the meantime does not affect its new log', () => {
    const { logs, take, use } = makeLogs({ maxClients: 1 });
    use('a');
    const log = logs.find('a');
    assert.ok(log);
    log.reserve(1);
    use('b', 'a');
    logs.release('a', log, 1, 1, 0);
    assert.deepEqual([take('a').allowed, take('a').allowed], [true, false]);
  });
});

describe('the memory of the logs', () => {
  it('a million clients leave at most maxClients logs', () => {
    const { logs, take } = makeLogs({ maxClients: 10_000 });
    for (let client = 0; client < 1_000_000; client += 1) {
      take(`client ${client}`);
      if (client % 100_000 === 0) assert.ok(logs.size <= 10_000);
    }
    assert.equal(logs.size, 10_000);
  });

  it('the least recently used client is dropped first', () => {
    const { clock, logs, use } = makeLogs();
    for (const [index, key] of ['a', 'b', 'c', 'a', 'a'].entries()) {
      clock.now = index;
      use(key);
    }
    // Client a was used last, although it was the first one and its last request was rejected.
    use('d');
    assert.equal(logs.size, 3);
    assert.deepEqual(use('c', 'c'), [true, false], 'c is remembered');
    assert.deepEqual(use('a'), [false], 'a is remembered');
    assert.deepEqual(use('b', 'b'), [true, true], 'b was forgotten and starts afresh');
  });

  it('a client is dropped when its last permit is older than the longest window', () => {
    const { clock, logs, use } = makeLogs({ maxClients: 1000 });
    for (let client = 0; client < 100; client += 1) use(`old ${client}`);
    clock.now = 59_999;
    use('x');
    assert.equal(logs.size, 101);
    clock.now = 60_000;
    for (let times = 0; times < 60; times += 1) use('y');
    assert.equal(logs.size, 2);
  });

  it('clients are dropped when all clients together hold too many permits, even if there are few clients', () => {
    const many = [{ name: 'hour', quota: 1000, windowMs: 3_600_000 }];
    const { logs, use } = makeLogs({ policies: many, maxClients: 1000, maxPermits: 5000 });
    for (let client = 0; client < 20; client += 1) {
      for (let times = 0; times < 1000; times += 1) use(`client ${client}`);
    }
    assert.ok(logs.size >= 4 && logs.size <= 6);
  });

  it('the only client is never dropped, however many permits it holds', () => {
    const many = [{ name: 'hour', quota: 100, windowMs: 3_600_000 }];
    const { use } = makeLogs({ policies: many, maxClients: 1, maxPermits: 10 });
    const allowed = use(...new Array<string>(200).fill('a'));
    assert.equal(allowed.filter((each) => each).length, 100);
  });

  it('dropped clients are reported at most once per minute', () => {
    const reported: unknown[] = [];
    const { clock, use } = makeLogs({ maxClients: 2, onCleanup: (counts) => reported.push(counts) });
    use('a', 'b', 'c', 'd');
    assert.deepEqual(reported, []);
    clock.now = 60_000;
    use('e');
    assert.deepEqual(reported, [{ dropped: 4, early: 3, kept: 1 }]);
    clock.now = 119_999;
    use('f', 'g');
    assert.equal(reported.length, 1);
  });

  it('an idle client takes at most 200 bytes', () => {
    const clients = 100_000;
    const { logs, take } = makeLogs({ maxClients: clients });
    const before = heapUsed();
    for (let client = 0; client < clients; client += 1) {
      take(`10.${client >> 16}.${(client >> 8) & 255}.${client & 255}`);
    }
    const each = (heapUsed() - before) / logs.size;
    assert.equal(logs.size, clients);
    assert.ok(each <= 200, `${each.toFixed(0)} bytes`);
  });

  it('memory does not grow while one client is idle and another busy', () => {
    const { logs, use } = makeLogs();
    use('idle', 'busy');
    const before = heapUsed();
    for (let times = 0; times < 300_000; times += 1) use('busy');
    const grown = heapUsed() - before;
    assert.equal(logs.size, 2);
    assert.ok(grown < 1_000_000, `${grown} bytes`);
  });

  it('memory does not grow while there is only one client', () => {
    const { logs, use } = makeLogs();
    use('alone');
    const before = heapUsed();
    for (let times = 0; times < 300_000; times += 1) use('alone');
    const grown = heapUsed() - before;
    assert.equal(logs.size, 1);
    assert.ok(grown < 1_000_000, `${grown} bytes`);
  });
});

/** Returns the bytes of all reachable objects. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  return process.memoryUsage().heapUsed;
}
