import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Ban, BanList, type BanPolicy } from '../../src/resilience/ban-list.ts';
import { propertyRuns } from '../helpers/property-runs.ts';

const policy: BanPolicy = {
  violations: 4,
  failures: 3,
  windowMs: 100,
  firstMs: 50,
  growth: 3,
  maxMs: 400,
  forgetMs: 1_000,
};
const bounds = { maxOffenders: 1_000, maxBans: 1_000, maxManual: 10 };
const violations = (count: number) => ({ violations: count, failures: [] });
const failures = (...credentials: number[]) => ({ violations: 0, failures: credentials });

/** Bans a client for offences, at this time. */
function mustBan(list: BanList, client: string, now: number): Ban {
  const ban = list.offend(client, violations(policy.violations), now);
  assert.ok(ban !== undefined);
  return ban;
}

describe('the model', () => {
  type Step =
    | { readonly kind: 'violations'; readonly count: number }
    | { readonly kind: 'failure'; readonly credential: number }
    | { readonly kind: 'ban'; readonly ms: number }
    | { readonly kind: 'lift' }
    | { readonly kind: 'expire' };
  const violationStep: fc.Arbitrary<Step> = fc.record({
    kind: fc.constant('violations'),
    count: fc.integer({ min: 1, max: 4 }),
  });
  const failureStep: fc.Arbitrary<Step> = fc.record({
    kind: fc.constant('failure'),
    credential: fc.integer({ min: 1, max: 6 }),
  });
  const step: fc.Arbitrary<{ client: string; wait: number; step: Step }> = fc.record({
    client: fc.constantFrom('a', 'b', 'c'),
    wait: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 900 })),
    step: fc.oneof<fc.Arbitrary<Step>[]>(
      violationStep,
      violationStep,
      violationStep,
      failureStep,
      failureStep,
      failureStep,
      fc.record({ kind: fc.constant('ban'), ms: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ kind: fc.constant('lift') }),
      fc.record({ kind: fc.constant('expire') }),
    ),
  });

  /** All that happened to a client since it was last banned or lifted. */
  interface Model {
    offences: { readonly at: number; readonly count: number; readonly credential: number | undefined }[];
    until: number;
    nth: number;
    forgetAt: number;
  }

  const violationsIn = ({ offences }: Model, from: number, to: number) =>
    offences.reduce((sum, { at, count }) => (at >= from && at < to ? sum + count : sum), 0);
  const failuresIn = ({ offences }: Model, from: number, to: number) =>
    new Set(
      offences.flatMap(({ at, credential }) => (at >= from && at < to && credential ? [credential] : [])),
    ).size;
  /** Returns the largest count in any period of the window's length. */
  const most = (model: Model, count: typeof violationsIn) =>
    Math.max(0, ...model.offences.map(({ at }) => count(model, at, at + policy.windowMs)));

  it('clients are banned within the two bounds, for a growing time, and are found exactly until it is over', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const list = new BanList({ policy, bounds });
        const models = new Map<string, Model>();
        let now = 1_000;
        for (const { client, wait, step } of steps) {
          now += wait;
          const model = models.get(client) ?? { offences: [], until: 0, nth: 0, forgetAt: 0 };
          models.set(client, model);
          const wasBanned = model.until > now;
          if (step.kind === 'violations' || step.kind === 'failure') {
            const isViolation = step.kind === 'violations';
            const ban = list.offend(
              client,
              isViolation ? violations(step.count) : failures(step.credential),
              now,
            );
            if (wasBanned) {
              assert.equal(ban, undefined, 'offences during a ban change nothing');
              continue;
            }
            model.offences.push({
              at: now,
              count: isViolation ? step.count : 0,
              credential: isViolation ? undefined : step.credential,
            });
            const [seenViolations, seenFailures] = [most(model, violationsIn), most(model, failuresIn)];
            if (ban === undefined) {
              assert.ok(
                seenViolations < 2 * policy.violations - 1,
                `${seenViolations} violations, and no ban`,
              );
              assert.ok(seenFailures < 2 * policy.failures - 1, `${seenFailures} failures, and no ban`);
              continue;
            }
            if (ban.reason === 'rate_limit') assert.ok(seenViolations >= policy.violations);
            else assert.ok(seenFailures >= policy.failures);
            model.nth = now < model.forgetAt ? model.nth + 1 : 1;
            assert.equal(ban.nth, model.nth);
            assert.equal(ban.until - now, Math.min(50 * 3 ** (model.nth - 1), 400));
            model.until = ban.until;
            model.forgetAt = ban.until + policy.forgetMs;
            model.offences = [];
          } else if (step.kind === 'ban') {
            if (now >= model.forgetAt) model.nth = 0;
            assert.equal(list.ban(client, step.ms, 'why', now)?.nth, model.nth);
            model.until = now + step.ms;
            if (model.nth > 0) model.forgetAt = model.until + policy.forgetMs;
            model.offences = [];
          } else if (step.kind === 'lift') {
            assert.equal(list.lift(client, now) !== undefined, wasBanned);
            models.delete(client);
          } else {
            for (const ban of list.expire(now)) assert.ok(ban.until <= now);
            for (const ban of list.all()) assert.ok(ban.until > now);
          }
          for (const [name, { until }] of models) {
            assert.equal(list.find(name, now)?.until, until > now ? until : undefined);
          }
        }
      }),
      { numRuns: propertyRuns(3_000) },
    );
  });
});

describe('offences', () => {
  it('the same failed credential counts once, however often it is sent', () => {
    const list = new BanList({ policy, bounds });
    for (let count = 0; count < 50; count += 1)
      assert.equal(list.offend('a', failures(7, 7), count), undefined);
    assert.equal(list.offend('a', failures(8), 50), undefined);
    assert.equal(list.offend('a', failures(9), 51)?.reason, 'authentication');
  });

  it('offences add up until the window ends, and the next one begins another', () => {
    const list = new BanList({ policy, bounds });
    assert.equal(list.offend('a', violations(3), 0), undefined);
    assert.equal(list.offend('a', violations(3), 100), undefined);
    assert.equal(list.offend('a', violations(1), 199)?.reason, 'rate_limit');
  });

  it('a ban is longer until the earlier ones are forgotten', () => {
    const list = new BanList({ policy, bounds });
    mustBan(list, 'a', 0);
    assert.equal(mustBan(list, 'a', 1_049).nth, 2);
    mustBan(list, 'b', 0);
    assert.equal(mustBan(list, 'b', 1_050).nth, 1);
  });

  it('a threshold of 0 never bans', () => {
    const list = new BanList({ policy: { ...policy, violations: 0, failures: 0 }, bounds });
    assert.equal(list.offend('a', { violations: 1_000, failures: [1, 2, 3, 4, 5] }, 0), undefined);
  });

  it('a threshold of 1 bans with the first offence', () => {
    const list = new BanList({ policy: { ...policy, violations: 1, failures: 1 }, bounds });
    assert.equal(list.offend('a', violations(1), 0)?.reason, 'rate_limit');
    assert.equal(list.offend('b', failures(1), 0)?.reason, 'authentication');
  });

  it('an exempt client is not banned, and is checked only when a ban would start', () => {
    const asked: string[] = [];
    const isExempt = (client: string) => asked.push(client) > 0 && client === 'a';
    const list = new BanList({ policy, bounds, isExempt });
    for (const client of ['a', 'b', 'c']) list.offend(client, violations(2), 0);
    assert.deepEqual(asked, []);
    assert.equal(list.offend('a', violations(2), 1), undefined);
    assert.equal(list.offend('b', violations(2), 1)?.reason, 'rate_limit');
    assert.deepEqual(asked, ['a', 'b']);
    assert.equal(list.size, 1);
  });
});

describe('bans by hand', () => {
  it('a ban by hand replaces another, and an automatic one does not replace it', () => {
    const list = new BanList({ policy, bounds });
    mustBan(list, 'a', 0);
    assert.equal(list.ban('a', 5_000, 'abuse', 10)?.reason, 'manual');
    assert.equal(list.offend('a', violations(100), 20), undefined);
    assert.equal(list.find('a', 5_009)?.note, 'abuse');
    assert.equal(list.find('a', 5_010), undefined);
  });

  it('too many bans by hand are refused, and a ban can still be replaced', () => {
    const list = new BanList({ policy, bounds: { ...bounds, maxManual: 2 } });
    for (const client of ['a', 'b']) assert.ok(list.ban(client, 100, '', 0) !== undefined);
    assert.equal(list.ban('c', 100, '', 0), undefined);
    assert.ok(list.ban('a', 200, '', 0) !== undefined);
    list.lift('b', 1);
    assert.ok(list.ban('c', 100, '', 1) !== undefined);
  });

  it('lifting a ban forgets the earlier ones', () => {
    const list = new BanList({ policy, bounds });
    mustBan(list, 'a', 0);
    assert.equal(mustBan(list, 'a', 60).nth, 2);
    assert.equal(list.lift('a', 70)?.nth, 2);
    assert.equal(list.lift('a', 70), undefined);
    assert.equal(mustBan(list, 'a', 80).nth, 1);
  });
});

describe('bounds', () => {
  it('with too many bans the oldest ends early, and those by hand stay', () => {
    const evicted: string[] = [];
    const list = new BanList({
      ...{ policy, bounds: { ...bounds, maxBans: 2 } },
      onEvicted: ({ client }) => void evicted.push(client),
    });
    list.ban('hand', 1_000, '', 0);
    for (const client of ['a', 'b', 'c', 'd']) mustBan(list, client, 1);
    assert.deepEqual(evicted, ['a', 'b']);
    assert.deepEqual(
      Array.from(list.all(), ({ client }) => client),
      ['hand', 'c', 'd'],
    );
  });

  it('a million hostile addresses take bounded memory, and end no ban by hand', () => {
    const list = new BanList({ policy, bounds: { maxOffenders: 2_000, maxBans: 1_000, maxManual: 10 } });
    list.ban('hand', 1e9, '', 0);
    for (let client = 0; client < 1_000_000; client += 1) {
      const isHeavy = client % 4 === 0;
      list.offend(`c${client}`, { violations: isHeavy ? 4 : 1, failures: [client] }, client / 1_000);
    }
    assert.equal(list.size, 1_001);
    assert.equal(list.find('hand', 1_000)?.reason, 'manual');
    // The most recent offenders are remembered: three more offences of this one are enough.
    assert.equal(list.offend('c999999', violations(3), 1_000)?.reason, 'rate_limit');
  });
});
