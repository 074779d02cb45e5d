import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ResponseHeaders } from '../../../src/http/context.ts';
import {
  addQuotas,
  describeQuotas,
  overQuotaError,
  type Standing,
  showStanding,
} from '../../../src/http/headers/ratelimit-fields.ts';

const standing = (name: string, remaining: number, facts: Partial<Standing> = {}): Standing => ({
  allowed: true,
  policy: { name, quota: 10, windowMs: 60_000 },
  remaining,
  resetMs: 5000,
  ...facts,
});

/** Returns the field after these quotas are shown, one after another. */
const shown = (...standings: Standing[]) => {
  const headers: ResponseHeaders = {};
  for (const each of standings) showStanding(headers, each);
  return headers.ratelimit;
};

describe('RateLimit', () => {
  it('RateLimit shows the quota with the fewest remaining requests, whatever the order', () => {
    const [a, b, c] = [standing('a', 12), standing('b', 9), standing('c', 100)];
    for (const order of [
      [a, b, c],
      [c, b, a],
      [b, c, a],
    ]) {
      assert.equal(shown(...order), '"b";r=9;t=5');
    }
  });

  it('RateLimit shows the outer one of two quotas with the same number left', () => {
    assert.equal(shown(standing('outer', 3), standing('inner', 3)), '"outer";r=3;t=5');
  });

  it('RateLimit shows the quota that rejects the request, even if another one is also exhausted', () => {
    const rejection = standing('inner', 0, { allowed: false, resetMs: 9001 });
    assert.equal(shown(standing('outer', 0), rejection), '"inner";r=0;t=10');
  });
});

it('RateLimit-Policy lists the quotas of all layers', () => {
  const headers: ResponseHeaders = {};
  addQuotas(headers, describeQuotas([{ name: 'minute', quota: 70, windowMs: 60_000 }]));
  addQuotas(
    headers,
    describeQuotas([
      { name: 'login', quota: 5, windowMs: 1000 },
      { name: 'user', quota: 9, windowMs: 60_000 },
    ]),
  );
  assert.equal(headers['ratelimit-policy'], '"minute";q=70;w=60, "login";q=5;w=1, "user";q=9;w=60');
});

it('Retry-After of a 429 is in whole seconds, at least one', () => {
  const waits = [0, 1, 1000, 1001].map(
    (resetMs) => overQuotaError(standing('a', 0, { resetMs }), 'x').headers?.['retry-after'],
  );
  assert.deepEqual(waits, ['1', '1', '1', '2']);
});
