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

/** The field after these standings, one after another. */
const shown = (...standings: Standing[]) => {
  const headers: ResponseHeaders = {};
  for (const each of standings) showStanding(headers, each);
  return headers.ratelimit;
};

describe('RateLimit', () => {
  it('shows the standing with the least remaining, whatever the order', () => {
    const [a, b, c] = [standing('a', 12), standing('b', 9), standing('c', 100)];
    for (const order of [
      [a, b, c],
      [c, b, a],
      [b, c, a],
    ]) {
      assert.equal(shown(...order), '"b";r=9;t=5');
    }
  });

  it('shows the outer of two that have the same left', () => {
    assert.equal(shown(standing('outer', 3), standing('inner', 3)), '"outer";r=3;t=5');
  });

  it('shows what refuses, also when another has nothing left either', () => {
    const refusal = standing('inner', 0, { allowed: false, resetMs: 9001 });
    assert.equal(shown(standing('outer', 0), refusal), '"inner";r=0;t=10');
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

it('a refusal asks to wait for whole seconds, one at least', () => {
  const waits = [0, 1, 1000, 1001].map(
    (resetMs) => overQuotaError(standing('a', 0, { resetMs }), 'x').headers?.['retry-after'],
  );
  assert.deepEqual(waits, ['1', '1', '1', '2']);
});
