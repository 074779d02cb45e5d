import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findJsonSyntaxError } from '../../../src/http/body/json-syntax-error.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';
import { errorPosition } from '../../helpers/naive-json.ts';

describe('the syntax error of a JSON text', () => {
  const table: [text: string, position: number, detail: string][] = [
    ['', 0, 'it is empty'],
    [' \n\t\r', 4, 'it is empty'],
    ['\u00a0', 0, 'unexpected "\u00a0"'],
    ['\ufeff1', 0, 'unexpected "\ufeff"'],
    ['{', 1, 'it ends too early'],
    ['[1,', 3, 'it ends too early'],
    ['"abc', 4, 'it ends too early'],
    ['tru', 3, 'it ends too early'],
    ['-', 1, 'it ends too early'],
    ['1e+', 3, 'it ends too early'],
    ['[1,]', 3, 'unexpected "]"'],
    ['[1 2]', 3, 'unexpected "2"'],
    ['{"a":1,}', 7, 'unexpected "}"'],
    ['{"a" 1}', 5, 'unexpected "1"'],
    ['{a:1}', 1, 'unexpected "a"'],
    ["{'a':1}", 1, `unexpected "'"`],
    ['{"a":1}}', 7, 'unexpected "}"'],
    ['[1] x', 4, 'unexpected "x"'],
    ['truth', 3, 'unexpected "t"'],
    ['undefined', 0, 'unexpected "u"'],
    ['NaN', 0, 'unexpected "N"'],
    ['01', 1, 'unexpected "1"'],
    ['+1', 0, 'unexpected "+"'],
    ['.5', 0, 'unexpected "."'],
    ['1.x', 2, 'unexpected "x"'],
    ['1.5.2', 3, 'unexpected "."'],
    ['1e5e', 3, 'unexpected "e"'],
    ['-a', 1, 'unexpected "a"'],
    ['"\\q"', 2, 'unexpected "q"'],
    ['"\\u12g4"', 5, 'unexpected "g"'],
    ['"a\nb"', 2, 'unexpected "\\n"'],
    ['"\u0000"', 1, 'unexpected "\\u0000"'],
    ['[💥]', 1, 'unexpected "💥"'],
  ];
  for (const [text, position, detail] of table) {
    it(`the error of ${JSON.stringify(text)} is at ${position}: ${detail}`, () => {
      const error = findJsonSyntaxError(text);
      assert.deepEqual([error?.position, error?.detail], [position, detail]);
    });
  }

  it('the error has a line and a column, counted from 1', () => {
    const error = findJsonSyntaxError('{\n  "a": 1,\n  "b" 2\n}');
    assert.deepEqual([error?.line, error?.column], [3, 7]);
    const first = findJsonSyntaxError('x');
    assert.deepEqual([first?.line, first?.column], [1, 1]);
  });

  it('the position of the error is that of a simple reference parser, for any corrupted text', () => {
    const edit = fc.tuple(
      fc.nat(),
      fc.constantFrom('insert', 'remove', 'cut'),
      fc.constantFrom(
        '"',
        '\\',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '.',
        'e',
        '-',
        '0',
        '1',
        't',
        'u',
        ' ',
        '\n',
        '\u0000',
        'x',
        '\\u',
        'é',
      ),
    );
    fc.assert(
      fc.property(fc.json(), fc.array(edit, { minLength: 1, maxLength: 3 }), (json, edits) => {
        let text = json;
        for (const [where, kind, what] of edits) {
          const at = where % (text.length + 1);
          if (kind === 'insert') text = text.slice(0, at) + what + text.slice(at);
          else if (kind === 'remove') text = text.slice(0, at) + text.slice(at + 1);
          else text = text.slice(0, at);
        }
        assert.equal(findJsonSyntaxError(text)?.position, errorPosition(text));
      }),
      { numRuns: 5000 },
    );
  });

  it('an error is found exactly if JSON.parse rejects the text', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '\\n',
      '1',
      '-',
      '.5',
      'e3',
      'true',
      'null',
      ' ',
    );
    const text = fc.oneof(
      fc.json(),
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (each) => {
        let refused = false;
        try {
          JSON.parse(each);
        } catch {
          refused = true;
        }
        assert.equal(findJsonSyntaxError(each) !== undefined, refused);
      }),
      { numRuns: 5000 },
    );
  });

  const long: [what: string, text: string][] = [
    ['a string', `"${'a'.repeat(10_000_000)}\u0001"`],
    ['a string of escapes', `"${'\\n'.repeat(2_000_000)}\u0001"`],
    ['a number', `${'9'.repeat(10_000_000)}x`],
    ['spaces', `${' '.repeat(10_000_000)}x`],
    ['an array', `[${'1,'.repeat(1_000_000)}x`],
  ];
  for (const [what, text] of long) {
    it(`the error after ${what} of megabytes is found in less than a second`, () => {
      let position = 0;
      const spent = cpuMsOf(() => {
        position = findJsonSyntaxError(text)?.position ?? 0;
      });
      assert.ok(position >= 1_000_000);
      assert.ok(spent < 1000, `${spent} ms`);
    });
  }
});
