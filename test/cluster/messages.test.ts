import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseToChild, parseToSupervisor } from '../../src/cluster/messages.ts';

const policy = { name: 'minute', quota: 70, windowMs: 60_000 };
const limit = { kind: 'limit', name: 'address', policies: [policy] };
const take = { kind: 'take', id: 1, limit: 'address', key: '192.0.2.1' };

const invalidate = { kind: 'invalidate', keys: ['posts:1'], tags: ['users'] };
const load = { kind: 'load', id: 1, key: 'posts:1', tags: ['users'], acceptsValue: true };
const returned = { kind: 'return', lease: 3, spent: 12, lastAt: 86_400_000.25 };

describe('a message to the supervisor', () => {
  it('a valid message is parsed unchanged', () => {
    for (const message of [
      { kind: 'hello' },
      { kind: 'ready', url: 'http://x' },
      limit,
      take,
      returned,
      invalidate,
      load,
      { kind: 'load-end', id: 1, value: { text: '[1]', freshUntil: 1.5, staleUntil: 2.5 } },
      { kind: 'load-end', id: 1, value: null },
      { ...invalidate, kind: 'load-revoke' },
    ]) {
      assert.deepEqual(parseToSupervisor(message), message);
    }
  });

  const invalid: readonly (readonly [what: string, message: unknown])[] = [
    ['of an unknown kind', { kind: 'fork' }],
    ['that is undefined', undefined],
    ['that defines a limit without a policy', { ...limit, policies: [] }],
    ['that defines a limit with eleven policies', { ...limit, policies: new Array(11).fill(policy) }],
    ['that defines a limit without a name', { ...limit, name: '' }],
    ['that defines a limit with a long name', { ...limit, name: 'x'.repeat(65) }],
    ['that defines a quota of 0', { ...limit, policies: [{ ...policy, quota: 0 }] }],
    ['that defines a window of 0 ms', { ...limit, policies: [{ ...policy, windowMs: 0 }] }],
    ['that requests a permit with a long key', { ...take, key: 'x'.repeat(201) }],
    ['that requests a permit of no limit', { kind: 'take', id: 1, key: 'a' }],
    ['that returns more permits than were leased', { ...returned, spent: -1 }],
    ['that invalidates too many values', { ...invalidate, tags: new Array(1_001).fill('a') }],
    ['that requests a load with a long key', { ...load, key: 'x'.repeat(501) }],
    ['that ends a load with half a value', { kind: 'load-end', id: 1, value: { text: '[1]' } }],
    ['that returns a lease without a time', { ...returned, lastAt: null }],
  ];
  for (const [what, message] of invalid) {
    it(`a message ${what} is ignored`, () => assert.equal(parseToSupervisor(message), undefined));
  }
});

it('a message of an unknown kind to a child is ignored', () => {
  assert.equal(parseToChild({ kind: 'take' }), undefined);
  const stop = { kind: 'stop', takenOver: false };
  assert.deepEqual(parseToChild(stop), stop);
});
