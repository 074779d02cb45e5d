import assert from 'node:assert/strict';
import { validateHeaderValue } from 'node:http';
import { describe, it } from 'node:test';
import { bearerChallenge, bearerToken, countFields } from '../../../src/http/headers/bearer.ts';

it('bearerToken returns the token of the Bearer scheme, in any case, and undefined for another scheme', () => {
  assert.deepEqual(
    ['Bearer a.b.c', 'bearer  a.b.c', 'BEARER ', 'Basic a', 'Bearera', '', undefined].map(bearerToken),
    ['a.b.c', 'a.b.c', '', undefined, undefined, undefined, undefined],
  );
});

describe('a challenge', () => {
  it('a challenge has the scheme and the realm, and the error of a bad token', () => {
    assert.equal(bearerChallenge('Strata'), 'Bearer realm="Strata"');
    assert.equal(
      bearerChallenge('Strata', { description: 'The access token has expired.' }),
      'Bearer realm="Strata", error="invalid_token", error_description="The access token has expired."',
    );
  });

  it('a challenge is a valid header field, whatever the name of the service is', () => {
    for (const [name, realm] of [
      ['The "best" API', "The 'best' API"],
      ['back\\slash', "back'slash"],
      ['Café 🦉', 'Caf? ??'],
      ['line\nbreak', 'line?break'],
    ] as const) {
      const challenge = bearerChallenge(name);
      assert.equal(challenge, `Bearer realm="${realm}"`);
      validateHeaderValue('www-authenticate', challenge);
    }
  });
});

it('countFields counts fields by name, case-insensitively, and not by value', () => {
  const raw = ['Host', 'a', 'HOST', 'b', 'X-Note', 'host', 'Hostess', 'c'];
  assert.equal(countFields(raw, 'host'), 2);
  assert.equal(countFields(raw, 'x-note'), 1);
  assert.equal(countFields(raw, 'authorization'), 0);
  assert.equal(countFields([], 'host'), 0);
});
