import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from '../../src/settings/nearest-name.ts';

const names = ['PORT', 'HOST', 'WORKERS', 'DATABASE_URL', 'RATE_LIMIT_PER_MINUTE', 'RATE_LIMIT_PER_HOUR'];

for (const [typed, nearest] of [
  ['PORT', 'PORT'],
  ['PROT', 'PORT'],
  ['PORTS', 'PORT'],
  ['POT', 'PORT'],
  ['WORKER', 'WORKERS'],
  ['DATABSE_URI', 'DATABASE_URL'],
  ['RATE_LIMIT_PER_MINUTES', 'RATE_LIMIT_PER_MINUTE'],
  ['RATELIMIT_PER_HOUR', 'RATE_LIMIT_PER_HOUR'],
  ['HOME', undefined],
  ['JWT_SECRET', undefined],
  ['', undefined],
] as const) {
  test(`the nearest name of ${typed || 'an empty text'} is ${nearest ?? 'undefined'}`, () =>
    assert.equal(nearestName(typed, names), nearest));
}
