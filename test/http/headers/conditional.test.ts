import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  codedTag,
  isUnmodifiedSince,
  matchesStrongly,
  matchesWeakly,
  versionTag,
} from '../../../src/http/headers/conditional.ts';

describe('an entity tag', () => {
  it('the tag of a version is strong and quoted, and contains the id of the row', () =>
    assert.equal(versionTag(12, 7), '"12.v7"'));

  it('the tag of a compressed response contains its coding', () => {
    assert.equal(codedTag('"v7"', 'gzip'), '"v7-gzip"');
    assert.equal(codedTag('W/"v7"', 'br'), 'W/"v7-br"');
  });

  // The table of RFC 9110, section 8.8.3.2, and other fields that clients send.
  const table: [field: string, tag: string, strongly: boolean, weakly: boolean][] = [
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', 'W/"1"', false, true],
    ['"1"', '"1"', true, true],
    ['"1"', '"2"', false, false],
    ['*', '"1"', true, true],
    [' * ', '"1"', true, true],
    ['"0", "1", "2"', '"1"', true, true],
    ['"0","1"', '"1"', true, true],
    ['"a,b", "1"', '"a,b"', true, true],
    ['"1-gzip"', '"1"', true, true],
    ['"1-br"', '"1-gzip"', true, true],
    ['"1-zip"', '"1"', false, false],
    ['1', '"1"', false, false],
    ['', '"1"', false, false],
    ['"', '"1"', false, false],
    ['"*"', '"1"', false, false],
    ['"A"', '"a"', false, false],
  ];
  for (const [field, tag, strongly, weakly] of table) {
    it(`the field ${field || '(empty)'} ${strongly ? 'matches' : 'does not match'} ${tag} strongly`, () => {
      assert.equal(matchesStrongly(field, tag), strongly);
    });
    it(`the field ${field || '(empty)'} ${weakly ? 'matches' : 'does not match'} ${tag} weakly`, () => {
      assert.equal(matchesWeakly(field, tag), weakly);
    });
  }

  it('only the first hundred tags of a field are compared', () => {
    const field = [...Array.from({ length: 100 }, (_, index) => `"x${index}"`), '"v1"'].join(', ');
    assert.equal(matchesWeakly(field, '"x99"'), true);
    assert.equal(matchesWeakly(field, '"v1"'), false);
  });
});

describe('If-Modified-Since', () => {
  const modified = 'Sun, 06 Nov 1994 08:49:37 GMT';
  const table: [field: string, unmodified: boolean][] = [
    ['Sun, 06 Nov 1994 08:49:37 GMT', true],
    ['Sun, 06 Nov 1994 08:49:38 GMT', true],
    ['Sun, 06 Nov 1994 08:49:36 GMT', false],
    ['Sunday, 06-Nov-94 08:49:37 GMT', true],
    ['yesterday', false],
    ['', false],
  ];
  for (const [field, unmodified] of table) {
    it(`a resource modified at ${modified} is ${unmodified ? '' : 'not '}unmodified since "${field}"`, () => {
      assert.equal(isUnmodifiedSince(field, modified), unmodified);
    });
  }
});
