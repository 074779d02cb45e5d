import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUuids } from '../../../src/http/parameters/uuid.ts';

const count = 10_000;

test('a random UUID has the form, version and variant of RFC 9562, and is unique', () => {
  const uuid = createUuids();
  const made = Array.from({ length: count }, uuid);
  for (const each of made) {
    assert.match(each, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  assert.equal(new Set(made).size, count);
});

test('every random digit of a UUID takes all values', () => {
  const uuid = createUuids();
  const seen = Array.from({ length: 36 }, () => new Set<string>());
  for (let made = 0; made < count; made += 1) {
    for (const [place, character] of [...uuid()].entries()) seen[place]?.add(character);
  }
  const fixed = new Map<number, number>([8, 13, 18, 23, 14].map((place) => [place, 1])).set(19, 4);
  assert.deepEqual(
    seen.map(({ size }) => size),
    seen.map((_, place) => fixed.get(place) ?? 16),
  );
});

test('two generators of UUIDs do not return the same ones', () => {
  const [one, other] = [createUuids(), createUuids()];
  const made = Array.from({ length: 300 }, () => [one(), other()]).flat();
  assert.equal(new Set(made).size, 600);
});
