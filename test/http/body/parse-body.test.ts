import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../../src/errors.ts';
import { maxDepth, parseBody, parseJson } from '../../../src/http/body/parse-body.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';

const parse = (body: string | Buffer, type: string, charset?: string) =>
  parseBody(Buffer.from(body), { type, charset });

/** Returns the message of the error for a body. */
function rejectionOf(parseIt: () => unknown, code = 'malformed_body'): string {
  try {
    parseIt();
  } catch (error) {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, code);
    return error.message;
  }
  assert.fail('The body was taken.');
}

describe('a body', () => {
  it('a JSON body is parsed to its value', () => {
    assert.deepEqual(parse('{"a":[1,"é"]}', 'application/json'), { a: [1, 'é'] });
    assert.deepEqual(parse('{"a":1}', 'application/merge-patch+json'), { a: 1 });
  });

  it('a form body is parsed to a record', () => {
    assert.deepEqual(
      { ...Object(parse('a=1&b=+%C3%A9&a=2', 'application/x-www-form-urlencoded')) },
      { a: ['1', '2'], b: ' é' },
    );
  });

  it('of text is a string', () => assert.equal(parse('é', 'text/plain', 'utf-8'), 'é'));

  it('a body of any other type is its bytes', () => {
    const bytes = Buffer.from([0, 255]);
    assert.deepEqual(parse(bytes, 'image/png'), bytes);
  });

  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
    it(`a body of ${type} that is not UTF-8 is rejected`, () => {
      for (const bytes of [[0xff], [0x22, 0xc3, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xc0, 0x80]]) {
        assert.equal(
          rejectionOf(() => parse(Buffer.from(bytes), type)),
          'The body is not valid UTF-8.',
        );
      }
    });

    it(`a body of ${type} in another charset is rejected`, () => {
      const sentence = rejectionOf(() => parse('1', type, 'iso-8859-1'), 'unsupported_media_type');
      assert.equal(sentence, 'The charset of the body must be UTF-8.');
      assert.ok(['utf-8', 'utf8', 'us-ascii'].every((charset) => parse('1', type, charset) !== undefined));
    });
  }

  it('a form with a stray percent sign is rejected', () => {
    assert.match(
      rejectionOf(() => parse('a=%zz', 'application/x-www-form-urlencoded')),
      /does not encode UTF-8/,
    );
  });

  it('may begin with a byte order mark', () => assert.equal(parse('\ufeff1', 'application/json'), 1));
});

describe('JSON', () => {
  const refused: [text: string, sentence: string][] = [
    ['', 'The body is not valid JSON: it is empty at position 0 (line 1, column 1).'],
    ['{"n":1]', 'The body is not valid JSON: unexpected "]" at position 6 (line 1, column 7).'],
    ['{\n"n":\n', 'The body is not valid JSON: it ends too early at position 7 (line 3, column 1).'],
    ['{"__proto__":{}}', 'The JSON has a member named "__proto__" at "", which is not allowed.'],
    ['{"a":[{"__proto__":1}]}', 'The JSON has a member named "__proto__" at "/a/0", which is not allowed.'],
    [
      `{"${'x'.repeat(100_000)}":{"__proto__":1}}`,
      `The JSON has a member named "__proto__" at "/${'x'.repeat(199)}…", which is not allowed.`,
    ],
    [
      `{"${'x'.repeat(198)}😀":"\\ud800"}`,
      `The JSON has half of a surrogate pair at "/${'x'.repeat(198)}\ufffd…", which is not text.`,
    ],
    ['{"\\u005f_proto__":1}', 'The JSON has a member named "__proto__" at "", which is not allowed.'],
    ['["\\ud800"]', 'The JSON has half of a surrogate pair at "/0", which is not text.'],
    [
      '{"a/b":{"~":"\\udc00\\ud800"}}',
      'The JSON has half of a surrogate pair at "/a~1b/~0", which is not text.',
    ],
    ['{"\\ud83d":1}', 'The JSON has half of a surrogate pair at "", which is not text.'],
  ];
  for (const [text, sentence] of refused) {
    it(`the JSON ${JSON.stringify(text.slice(0, 60))} is rejected with position and reason`, () =>
      assert.equal(
        rejectionOf(() => parseJson(text)),
        sentence,
      ));
  }

  const taken: [text: string, value: unknown][] = [
    ['"\\ud83d\\ude00"', '😀'],
    ['"__proto__"', '__proto__'],
    ['"\\u0000"', '\0'],
    ['1e400', Number.POSITIVE_INFINITY],
    ['-1e-400', -0],
    [`0.${'1'.repeat(100_000)}`, 1 / 9],
    ['{"a":1,"a":2}', { a: 2 }],
    ['{"constructor":{"prototype":1}}', { constructor: { prototype: 1 } }],
  ];
  for (const [text, value] of taken) {
    it(`the JSON ${text.length > 40 ? `${text.slice(0, 20)}…` : text} is accepted`, () =>
      assert.deepEqual(parseJson(text), value));
  }

  it(`JSON may nest ${maxDepth} levels deep, and no deeper`, () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
    assert.ok(parseJson(nested(maxDepth)));
    assert.match(
      rejectionOf(() => parseJson(nested(maxDepth + 2))),
      /nested deeper than 100 levels/,
    );
    assert.match(
      rejectionOf(() => parseJson('['.repeat(maxDepth + 101))),
      /nested deeper/,
    );
  });

  it('brackets inside strings do not count as nesting', () => {
    const text = JSON.stringify(['[{'.repeat(500), '\\"[['.repeat(500)]);
    assert.deepEqual(parseJson(text), JSON.parse(text));
  });

  it('any JSON is parsed as by JSON.parse', () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: 'large' }), (value) => {
        const text = JSON.stringify(value);
        if (!text.includes('"__proto__":')) assert.deepEqual(parseJson(text), JSON.parse(text));
      }),
    );
  });

  const hostile: [what: string, text: string][] = [
    ['100,000 arrays in one another', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['100,000 objects in one another', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['a megabyte of "["', '['.repeat(1_000_000)],
    ['a megabyte of quotes', '"'.repeat(1_000_000)],
    ['a megabyte of backslashes in a string', `"${'\\'.repeat(1_000_000)}`],
    ['a megabyte of digits and a letter', `${'1'.repeat(1_000_000)}x`],
    ['a megabyte of numbers and half of a surrogate pair', `[${'1,'.repeat(500_000)}"\\ud800"]`],
  ];
  for (const [what, text] of hostile) {
    it(`JSON of ${what} is rejected within a second`, () => {
      const spent = cpuMsOf(() => rejectionOf(() => parseJson(text)));
      assert.ok(spent < 1000, `${spent} ms`);
    });
  }
});
