import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { cutText, escapeInvisible, quoteText } from '../../../src/observability/log/log-text.ts';

describe('cutText', () => {
  const table: [text: string, max: number, cut: string][] = [
    ['abc', 3, 'abc'],
    ['abcdef', 3, 'abc… [+3 characters]'],
    ['ab😀cd', 3, 'ab… [+4 characters]'],
    ['ab😀cd', 4, 'ab😀… [+2 characters]'],
    ['', 0, ''],
  ];
  for (const [text, max, cut] of table)
    it(`"${text}" cut to ${max} characters is "${cut}"`, () => assert.equal(cutText(text, max), cut));

  it('a text that is cut twice has one mark, with the sum of removed characters', () => {
    const text = 'abcdefghij'.repeat(100);
    assert.equal(cutText(cutText(text, 500), 100), cutText(text, 100));
    assert.equal(cutText(cutText(text, 100), 110), cutText(text, 100));
  });

  it('a cut never splits a surrogate pair', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (text, max) => {
        assert.ok(cutText(text.toWellFormed(), max).isWellFormed());
      }),
    );
  });
});

describe('JSON text', () => {
  const invisible = [
    ['DEL', '\u007f'],
    ['CSI, a C1 control', '\u009b'],
    ['NEL, a C1 control', '\u0085'],
    ['the soft hyphen', '\u00ad'],
    ['the Arabic letter mark', '\u061c'],
    ['the zero-width space', '\u200b'],
    ['the zero-width joiner', '\u200d'],
    ['the right-to-left mark', '\u200f'],
    ['the line separator', '\u2028'],
    ['the paragraph separator', '\u2029'],
    ['the right-to-left override', '\u202e'],
    ['the word joiner', '\u2060'],
    ['the first strong isolate', '\u2068'],
    ['the Hangul filler', '\u3164'],
    ['a variation selector', '\ufe0f'],
    ['the byte order mark', '\ufeff'],
    ['an interlinear annotation anchor', '\ufff9'],
    ['a tag character', '\u{e0041}'],
  ] as const;
  for (const [name, character] of invisible) {
    it(`${name} is escaped in JSON text, and the value stays the same`, () => {
      const text = `a${character}b`;
      for (const json of [escapeInvisible(JSON.stringify(text)), quoteText(text)]) {
        assert.match(json, /^[ -~]+$/);
        assert.equal(JSON.parse(json), text);
      }
    });
  }

  it('letters, signs and emoji of any script are not escaped', () => {
    const text = 'jürgen 例え שלום 😀 naïve €';
    assert.equal(quoteText(text), `"${text}"`);
  });
});
