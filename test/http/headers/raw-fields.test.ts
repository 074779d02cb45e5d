import assert from 'node:assert/strict';
import { it } from 'node:test';
import { countFields } from '../../../src/http/headers/raw-fields.ts';

it('fields are counted by their name, case-insensitively, and not by their value', () => {
  const raw = ['Host', 'a', 'HOST', 'b', 'X-Note', 'host', 'Hostess', 'c'];
  assert.equal(countFields(raw, 'host'), 2);
  assert.equal(countFields(raw, 'x-note'), 1);
  assert.equal(countFields(raw, 'authorization'), 0);
  assert.equal(countFields([], 'host'), 0);
});
