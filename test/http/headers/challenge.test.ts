import assert from 'node:assert/strict';
import { validateHeaderValue } from 'node:http';
import { describe, it } from 'node:test';
import { bearerChallenge } from '../../../src/http/headers/challenge.ts';

describe('a challenge', () => {
  it('names the scheme and the realm, and with a bad token what is wrong', () => {
    assert.equal(bearerChallenge('Strata'), 'Bearer realm="Strata"');
    assert.equal(
      bearerChallenge('Strata', { description: 'The access token has expired.' }),
      'Bearer realm="Strata", error="invalid_token", error_description="The access token has expired."',
    );
  });

  it('can be sent and read whatever the name of the service is', () => {
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
