import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readToPrimary, readToWorker } from '../../src/cluster/messages.ts';

const policy = { name: 'minute', quota: 70, windowMs: 60_000 };
const limit = { kind: 'limit', name: 'address', policies: [policy] };
const take = { kind: 'take', id: 1, limit: 'address', key: '192.0.2.1' };

const settle = { kind: 'settle', lease: 3, spent: 12, lastAt: 86_400_000.25 };

describe('a message to the primary', () => {
  it('is read as it was sent', () => {
    for (const message of [{ kind: 'hello' }, { kind: 'ready', url: 'http://x' }, limit, take, settle]) {
      assert.deepEqual(readToPrimary(message), message);
    }
  });

  const refused: readonly (readonly [what: string, message: unknown])[] = [
    ['of another kind', { kind: 'fork' }],
    ['that is nothing', undefined],
    ['that defines a limit without a policy', { ...limit, policies: [] }],
    ['that defines a limit of many policies', { ...limit, policies: new Array(11).fill(policy) }],
    ['that defines a limit without a name', { ...limit, name: '' }],
    ['that defines a limit with a long name', { ...limit, name: 'x'.repeat(65) }],
    ['that defines a quota of nothing', { ...limit, policies: [{ ...policy, quota: 0 }] }],
    ['that defines a window of no length', { ...limit, policies: [{ ...policy, windowMs: 0 }] }],
    ['that asks with a long key', { ...take, key: 'x'.repeat(201) }],
    ['that asks for no limit', { kind: 'take', id: 1, key: 'a' }],
    ['that gives back more than was leased', { ...settle, spent: -1 }],
    ['that settles a lease at no time', { ...settle, lastAt: null }],
  ];
  for (const [what, message] of refused) {
    it(`${what} is left out`, () => assert.equal(readToPrimary(message), undefined));
  }
});

it('a message to a worker of an unknown kind is left out', () => {
  assert.equal(readToWorker({ kind: 'take' }), undefined);
  const stop = { kind: 'stop', takenOver: false };
  assert.deepEqual(readToWorker(stop), stop);
});
