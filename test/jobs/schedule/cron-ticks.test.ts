import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cron as Peer } from 'croner';
import fc from 'fast-check';
import { matches, parseCron } from '../../../src/jobs/schedule/cron.ts';
import { createTicks } from '../../../src/jobs/schedule/cron-ticks.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** Returns the first ticks after a time, as ISO 8601 to the minute. */
function ticksAfter(text: string, timeZone: string, after: string, count: number): string[] {
  const { next } = createTicks(parseCron(text), timeZone);
  let at = new Date(after);
  return Array.from({ length: count }, () => {
    at = next(at);
    return at.toISOString().slice(0, 16);
  });
}

describe('an expression for some hours of the day', () => {
  it('an expression for certain hours fires once, right after the gap, if the clock skips its time', () => {
    // Berlin, 29 March 2026: 2:00 becomes 3:00, at 1:00 UTC.
    assert.deepEqual(ticksAfter('30 2 * * *', 'Europe/Berlin', '2026-03-27T12:00Z', 3), [
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
    assert.deepEqual(ticksAfter('*/15 2,3 29 3 *', 'Europe/Berlin', '2026-03-29T00:59Z', 3), [
      '2026-03-29T01:00',
      '2026-03-29T01:15',
      '2026-03-29T01:30',
    ]);
  });

  it('an expression for some hours fires only the first time when the clock shows its time twice', () => {
    // Berlin, 25 October 2026: 3:00 becomes 2:00, at 1:00 UTC.
    assert.deepEqual(ticksAfter('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', 2), [
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
    assert.deepEqual(ticksAfter('30 2 * * *', 'Europe/Berlin', '2026-10-25T01:15Z', 1), ['2026-10-26T01:30']);
    assert.deepEqual(ticksAfter('0,30 1-3 25 10 *', 'Europe/Berlin', '2026-10-25T00:30Z', 2), [
      '2026-10-25T02:00',
      '2026-10-25T02:30',
    ]);
  });

  it('an expression for a day that a zone skips fires at the start of the next day', () => {
    // Samoa crossed the date line: there was no 30 December 2011.
    assert.deepEqual(ticksAfter('0 12 30 12 *', 'Pacific/Apia', '2011-12-01T00:00Z', 1), [
      '2011-12-30T10:00',
    ]);
  });

  it('clock changes of half an hour and at midnight are supported', () => {
    assert.deepEqual(ticksAfter('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00Z', 1), [
      '2026-10-03T15:30',
    ]);
    assert.deepEqual(ticksAfter('0 0 * * *', 'Africa/Cairo', '2026-04-23T12:00Z', 1), ['2026-04-23T22:00']);
  });
});

describe('an expression for every hour', () => {
  it('an expression for every hour keeps its interval when the clock changes', () => {
    for (const day of ['2026-03-29', '2026-10-25']) {
      assert.deepEqual(ticksAfter('0,30 * * * *', 'Europe/Berlin', `${day}T00:00Z`, 4), [
        `${day}T00:30`,
        `${day}T01:00`,
        `${day}T01:30`,
        `${day}T02:00`,
      ]);
    }
  });

  it('an expression for every hour follows the digits of the clock after a change by half an hour', () => {
    assert.deepEqual(ticksAfter('45 * * * *', 'Australia/Lord_Howe', '2026-04-04T14:00Z', 3), [
      '2026-04-04T14:45',
      '2026-04-04T15:15',
      '2026-04-04T16:15',
    ]);
  });
});

describe('ticks', () => {
  it('ticks are found at once, even years ahead', () => {
    const spent = cpuMsOf(() => {
      for (let times = 0; times < 20; times += 1) {
        for (const text of ['0 0 29 2 *', '0 * 29 2 *'])
          assert.deepEqual(ticksAfter(text, 'UTC', '2097-01-01T00:00Z', 1), ['2104-02-29T00:00']);
      }
    });
    assert.ok(spent < 500, `${spent} ms`);
  });

  it('the next tick is after the time, never at it', () => {
    assert.deepEqual(ticksAfter('* * * * *', 'UTC', '2026-01-01T00:00:00.000Z', 1), ['2026-01-01T00:01']);
    assert.deepEqual(ticksAfter('* * * * *', 'UTC', '2026-01-01T00:00:59.999Z', 1), ['2026-01-01T00:01']);
    assert.deepEqual(ticksAfter('* * * * *', 'UTC', '2025-12-31T23:59:59.999Z', 1), ['2026-01-01T00:00']);
  });

  for (const zone of ['Europe/Atlantis', '', '+02:00', 'berlin']) {
    it(`the invalid zone "${zone}" is rejected`, () => {
      assert.throws(
        () => createTicks(parseCron('@daily'), zone),
        /The time zone ".*" does not exist: use a name of/,
      );
    });
  }
});

/** Zones with the instants (UTC) of clock changes by an hour, half an hour or a day. */
const changes = [
  ['Europe/Berlin', '2026-03-29T01:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00Z'],
  ['America/New_York', '2027-03-14T07:00Z'],
  ['America/New_York', '2027-11-07T06:00Z'],
  ['America/St_Johns', '2005-10-30T02:31Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Africa/Cairo', '2026-04-23T22:00Z'],
  ['America/Havana', '2026-11-01T05:00Z'],
  ['Antarctica/Troll', '2026-03-29T01:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00Z'],
  ['UTC', '2026-02-28T12:00Z'],
] as const;

/** A random field with few values, so that some minutes match and others do not. */
const field = (min: number, max: number) => {
  const value = fc.integer({ min, max });
  const range = fc
    .tuple(value, value)
    .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`);
  const step = fc.integer({ min: 1, max: max - min }).map((by) => `*/${by}`);
  const item = fc.oneof(value.map(String), range, step);
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant('*') },
    { weight: 3, arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')) },
  );
};

const expression = (days: fc.Arbitrary<string>, weekdays: fc.Arbitrary<string>) =>
  fc
    .tuple(field(0, 59), fc.oneof(field(0, 23), field(0, 4)), days, fc.constant('*'), weekdays)
    .map((fields) => fields.join(' '));

/** Returns the digits of the local clock of a zone. */
function digits(timeZone: string) {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    ...{ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' },
    hourCycle: 'h23',
  });
  return (instant: number) => {
    const [day = 0, month = 0, year = 0, hour = 0, minute = 0] = format
      .format(instant)
      .split(/\D+/)
      .map(Number);
    return Date.UTC(year, month - 1, day, hour, minute);
  };
}

/** Returns every tick of a period, by checking each of its minutes. */
function ticksByLooking(text: string, timeZone: string, from: number, to: number): number[] {
  const cron = parseCron(text);
  const shows = digits(timeZone);
  const everyHour = cron.hours.size === 24;
  const found: number[] = [];
  // The latest local time so far. It starts early enough to include every change that matters.
  let reached = Number.NEGATIVE_INFINITY;
  for (let at = from - 2 * dayMs; at <= to; at += minuteMs) {
    const local = shows(at);
    let fires = everyHour && matches(cron, local);
    const first = Math.max(reached + minuteMs, local - 2 * dayMs);
    for (let passed = first; passed <= local && !everyHour; passed += minuteMs)
      fires ||= matches(cron, passed);
    if (fires && at > from) found.push(at);
    reached = Math.max(reached, local);
  }
  return found;
}

describe('ticks around a clock change', () => {
  it('ticks around a clock change equal those found by checking each minute', () => {
    const any = fc.record({
      text: expression(field(1, 31), field(0, 7)),
      change: fc.constantFrom(...changes),
      early: fc.integer({ min: -180, max: 2 * 1440 }),
    });
    fc.assert(
      fc.property(any, ({ text, change: [zone, instant], early }) => {
        const from = Date.parse(instant) - early * minuteMs;
        const to = from + 2 * dayMs;
        const expected = ticksByLooking(text, zone, from, to);
        const { next, latest } = createTicks(parseCron(text), zone);
        const found: number[] = [];
        for (let at = next(new Date(from)); at.getTime() <= to && found.length < 60; at = next(at)) {
          found.push(at.getTime());
        }
        assert.deepEqual(found, expected.slice(0, 60));
        assert.equal(latest(new Date(from), new Date(to))?.getTime(), expected.at(-1));
      }),
      { numRuns: 60 },
    );
  });
});

describe('ticks compared with a peer implementation', () => {
  it('a peer implementation fires at the same times without clock changes', () => {
    const any = fc.record({
      text: fc.oneof(expression(field(1, 28), fc.constant('*')), expression(fc.constant('*'), field(0, 6))),
      from: fc.date({ min: new Date('2000-01-01'), max: new Date('2090-01-01'), noInvalidDate: true }),
      zone: fc.constantFrom('UTC', 'Asia/Kolkata', 'Pacific/Kiritimati'),
    });
    fc.assert(
      fc.property(any, ({ text, from, zone }) => {
        const peer = new Peer(text, { timezone: zone }).nextRuns(5, new Date(from));
        const { next } = createTicks(parseCron(text), zone);
        let at = from;
        for (const tick of peer) {
          at = next(at);
          assert.equal(at.toISOString(), tick.toISOString());
        }
      }),
      { numRuns: 100 },
    );
  });

  it('an expression with both day fields fires on a match of either, as in the croner package', () => {
    const peer = new Peer('0 0 13 * FRI', { timezone: 'UTC' }).nextRuns(4, new Date('2026-11-07'));
    assert.deepEqual(
      ticksAfter('0 0 13 * FRI', 'UTC', '2026-11-07T00:00Z', 4),
      peer.map((tick) => tick.toISOString().slice(0, 16)),
    );
  });

  it('a peer implementation also fires once when the clock skips a time or shows it twice', () => {
    for (const after of ['2026-03-28T12:00:00Z', '2026-10-24T12:00:00Z']) {
      const peer = new Peer('30 2 * * *', { timezone: 'Europe/Berlin' }).nextRuns(2, new Date(after));
      assert.equal(
        ticksAfter('30 2 * * *', 'Europe/Berlin', after, 2)[1],
        peer[1]?.toISOString().slice(0, 16),
      );
    }
  });
});
