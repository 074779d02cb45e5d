/**
 * The limiter against rate-limiter-flexible, both in memory, with a thousand clients in turns. Ours keeps the time of
 * every permit of the window (exact, and more expensive), theirs counts from the start of a fixed window. While
 * permits are given our clock goes on by a millisecond a call, so that the windows really slide: each client has about
 * 58 permits in its minute. For rejections the clock does not advance.
 */

import assert from 'node:assert/strict';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { compare } from './timing.mjs';

const keys = Array.from({ length: 1024 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
const keyOf = (call) => keys[call % keys.length];

/** `stepMs` is how far our clock goes on with each call. */
function makeOurs(quota, stepMs) {
  const limit = { name: 'bench', policies: [{ name: 'minute', quota, windowMs: 60_000 }] };
  let now = 0;
  const store = createMemoryLimitStore({
    maxClients: 100_000,
    now: () => {
      now += stepMs;
      return now;
    },
  });
  return (call) => store.take(limit, keyOf(call)).allowed;
}

function makeTheirs(points) {
  const limiter = new RateLimiterMemory({ points, duration: 60 });
  const allow = () => true;
  const deny = () => false;
  return (call) => limiter.consume(keyOf(call)).then(allow, deny);
}

const [ours, theirs] = [makeOurs(1000, 1), makeTheirs(1e9)];
assert.equal(ours(0), true);
assert.equal(await theirs(0), true);
await compare('limiter', [
  { question: 'a permit is given', name: 'Strata', ours: true, call: ours },
  { question: 'a permit is given', name: 'rate-limiter-flexible', call: theirs, waits: true },
]);

const [oursFull, theirsFull] = [makeOurs(1, 0), makeTheirs(1)];
for (const index of keys.keys()) {
  oursFull(index);
  await theirsFull(index);
}
assert.equal(oursFull(0), false);
assert.equal(await theirsFull(0), false);
await compare('limiter', [
  { question: 'a permit is refused', name: 'Strata', ours: true, call: oursFull },
  { question: 'a permit is refused', name: 'rate-limiter-flexible', call: theirsFull, waits: true },
]);
