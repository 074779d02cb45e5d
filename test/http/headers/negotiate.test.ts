import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { preferredEncoding } from '../../../src/http/headers/negotiate.ts';

describe('of br and gzip, in this order, an Accept-Encoding of', () => {
  const table: [header: string | undefined, coding: 'br' | 'gzip' | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br', 'br'],
    ['gzip;q=1.0, br;q=0.5', 'gzip'],
    ['gzip;q=0.5, br;q=0.5', 'br'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip ; q=0.3', 'gzip'],
    ['*', 'br'],
    ['*;q=0', undefined],
    ['gzip;q=0', undefined],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0, *', undefined],
    ['identity', undefined],
    ['identity, gzip;q=0.5', undefined],
    ['identity;q=0.5, gzip', 'gzip'],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['gzip;q=nonsense', undefined],
    ['gzip;q=2', undefined],
    ['gzip;q=-1', undefined],
    ['deflate, zstd', undefined],
    [',,;;q=', undefined],
  ];
  for (const [header, coding] of table) {
    it(`the Accept-Encoding ${header === undefined ? '(none)' : `"${header}"`} selects ${coding ?? 'no coding'}`, () => {
      assert.equal(preferredEncoding(header, ['br', 'gzip']), coding);
      assert.equal(preferredEncoding(header, ['br', 'gzip']), coding, 'the second time too');
    });
  }
});
