import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headerName } from '../../src/openapi/headers.ts';

for (const [given, written] of [
  ['if-match', 'If-Match'],
  ['IF-NONE-MATCH', 'If-None-Match'],
  ['etag', 'ETag'],
  ['x-request-id', 'X-Request-ID'],
  ['ratelimit', 'RateLimit'],
  ['ratelimit-policy', 'RateLimit-Policy'],
  ['retry-after', 'Retry-After'],
] as const) {
  test(`the header ${given} is written ${written}`, () => {
    assert.equal(headerName(given), written);
  });
}
