import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { maxParameters, parseQuery } from '../../../src/http/parameters/query.ts';

describe('a query', () => {
  const table: [text: string, query: Record<string, string | string[]>][] = [
    ['', {}],
    ['a=1', { a: '1' }],
    ['a=1&b=2', { a: '1', b: '2' }],
    ['a=1&a=2&a=3', { a: ['1', '2', '3'] }],
    ['a', { a: '' }],
    ['a=', { a: '' }],
    ['=1', { '': '1' }],
    ['a=b=c', { a: 'b=c' }],
    ['&&a=1&', { a: '1' }],
    ['a+b=c+d', { 'a b': 'c d' }],
    ['a=%2B%26%3D', { a: '+&=' }],
    ['caf%C3%A9=%E2%82%AC', { café: '€' }],
    ['toString=1', { toString: '1' }],
  ];
  for (const [text, query] of table) {
    it(`"${text}" is ${JSON.stringify(query)}`, () => assert.deepEqual({ ...parseQuery(text) }, query));
  }

  it('parameters named like properties of every object are ordinary parameters', () => {
    const query = parseQuery('__proto__=1&constructor=2');
    assert.deepEqual(Object.entries(query ?? {}), [
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
    assert.equal(Object.getPrototypeOf(query), null);
  });

  for (const text of ['a=%', 'a=%zz', '%ff=1', 'a=%ED%A0%80']) {
    it(`"${text}" is refused`, () => assert.equal(parseQuery(text), undefined));
  }

  it(`a query of ${maxParameters} parameters is accepted, and one more is rejected`, () => {
    const most = Array.from({ length: maxParameters }, (_, index) => `p${index}=1`).join('&');
    assert.equal(Object.keys(parseQuery(most) ?? {}).length, maxParameters);
    assert.equal(parseQuery(`${most}&one=more`), undefined);
  });

  it('a query that URLSearchParams writes is read unchanged', () => {
    const text = fc.string({ unit: 'binary' }).map((each) => each.toWellFormed());
    const pairs = fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 20 });
    fc.assert(
      fc.property(pairs, (entries) => {
        const query = parseQuery(new URLSearchParams(entries).toString());
        assert.deepEqual(new Map(Object.entries(query ?? {})), new Map(entries));
      }),
    );
  });
});
