import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseStrictObject } from '../../../src/auth/jwt/strict-json.ts';

const parse = (json: string | Buffer) => parseStrictObject(Buffer.from(json));

describe('strict JSON', () => {
  const refused: [what: string, json: string | Buffer][] = [
    ['nothing', ''],
    ['a text', '"{}"'],
    ['an array', '[]'],
    ['null', 'null'],
    ['text after the object', '{} {}'],
    ['a trailing comma', '{"a":1,}'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are not UTF-8', Buffer.from('{"a":"\xff"}', 'latin1')],
    ['an overlong encoding', Buffer.from('{"a":"\xc0\xaf"}', 'latin1')],
    ['a surrogate in UTF-8', Buffer.from('{"a":"\xed\xa0\x80"}', 'latin1')],
    ['a duplicate member', '{"a":1,"a":1}'],
    ['a duplicate member, once with an escape', '{"sub":1,"\\u0073ub":2}'],
    ['a duplicate member in a nested object', '{"a":{"b":1,"b":2}}'],
    ['a duplicate member in a nested array', '{"a":[1,{"b":1,"b":2}]}'],
    ['a duplicate member whose first value was an object', '{"a":{"b":1},"a":2}'],
    ['a duplicate __proto__', '{"__proto__":1,"__proto__":2}'],
  ];
  for (const [what, json] of refused) {
    it(`strict JSON rejects ${what}`, () => assert.equal(parse(json), undefined));
  }

  const taken: [what: string, json: string, value: object][] = [
    ['an empty object', '{}', {}],
    ['white space', ' {\r\n "a" : 1 }\n', { a: 1 }],
    ['the same name in two objects', '{"a":{"a":1},"b":{"a":1}}', { a: { a: 1 }, b: { a: 1 } }],
    [
      'colons, braces and quotes inside strings',
      '{"a:\\"b\\":":"{\\"c\\":1}\\\\"}',
      { 'a:"b":': '{"c":1}\\' },
    ],
  ];
  for (const [what, json, value] of taken) {
    it(`strict JSON accepts ${what}`, () => assert.deepEqual(parse(json), value));
  }

  it('strict JSON accepts every object that JSON.stringify writes', () => {
    const json = fc
      .dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }))
      .map((value) => JSON.stringify(value));
    fc.assert(fc.property(json, (text) => assert.deepEqual(parse(text), JSON.parse(text))));
  });

  it('strict JSON rejects every object with one duplicated member', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { minKeys: 1 });
    fc.assert(
      fc.property(object, fc.jsonValue(), (value, other) => {
        const [name] = Object.keys(value);
        const json = JSON.stringify(value).slice(0, -1);
        assert.equal(parse(`${json},${JSON.stringify(name)}:${JSON.stringify(other)}}`), undefined);
      }),
    );
  });
});
