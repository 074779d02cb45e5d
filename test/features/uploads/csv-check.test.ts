import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { AppError } from '../../../src/errors.ts';
import { createCsvCheck } from '../../../src/features/uploads/csv-check.ts';

/** Returns the error for a file that arrives in chunks of `size` bytes, or null if it is accepted. */
function errorOf(content: Uint8Array, size = content.length): string | null {
  const check = createCsvCheck();
  try {
    for (let at = 0; at < content.length; at += size) check.write(content.subarray(at, at + size));
    check.end();
    return null;
  } catch (error) {
    assert.ok(error instanceof AppError);
    return `${error.code}: ${error.message}`;
  }
}

describe('a CSV file', () => {
  const accepted: [what: string, content: Uint8Array][] = [
    ['of ASCII', Buffer.from('username,email\r\nada,ada@example.org\r\n')],
    ['with a byte order mark', Buffer.from('\ufeffusername\nada\n')],
    ['with letters of two, three and four bytes', Buffer.from('é,語,😀,\t"a\nb"\n')],
    ['with bytes that look like a signature further on', Buffer.from('aPK,%PDF-,GIF8')],
    ['of one byte', Buffer.from('a')],
  ];
  for (const [what, content] of accepted) {
    it(`a CSV file ${what} is accepted, in chunks of any size`, () => {
      for (const size of [1, 2, 3, content.length]) assert.equal(errorOf(content, size), null, String(size));
    });
  }

  const rejected: [what: string, content: Uint8Array, why: RegExp][] = [
    ['is a spreadsheet', Buffer.from('PK\x03\x04\x14\x00'), /ZIP archive or a spreadsheet/],
    ['is an old spreadsheet', Buffer.from('d0cf11e0a1b11ae1', 'hex'), /old spreadsheet/],
    ['is compressed', gzipSync('a,b'), /compressed with gzip/],
    ['is a PDF file', Buffer.from('%PDF-1.7\n'), /a PDF file/],
    ['is a PNG', Buffer.from('89504e470d0a1a0a', 'hex'), /a picture/],
    ['is UTF-16', Buffer.from('\ufeffa,b', 'utf16le'), /it is UTF-16/],
    ['is Latin-1', Buffer.from('name\nJosé\n', 'latin1'), /it is not UTF-8/],
    ['is UTF-16 without a mark', Buffer.from('a,b', 'utf16le'), /bytes that are not text/],
    ['has a NUL', Buffer.from('a,b\0'), /bytes that are not text/],
    ['has an escape character', Buffer.from('a,\x1b[31m'), /bytes that are not text/],
    ['ends in the middle of a character', Buffer.from('a,é').subarray(0, 3), /it is not UTF-8/],
    ['has half of a surrogate pair', Buffer.from('a,\xed\xa0\x80', 'latin1'), /it is not UTF-8/],
    ['has an overlong UTF-8 sequence', Buffer.from('\xc0\xaf', 'latin1'), /it is not UTF-8/],
  ];
  for (const [what, content, why] of rejected) {
    it(`a file that ${what} is rejected as no CSV file, in chunks of any size`, () => {
      for (const size of [1, 2, 3, content.length]) {
        assert.match(
          errorOf(content, size) ?? 'accepted',
          /^unsupported_media_type: The file is not a CSV file, because /,
        );
      }
      assert.match(errorOf(content) ?? 'accepted', why);
    });
  }

  it('an empty file is rejected', () => {
    assert.equal(errorOf(Buffer.alloc(0), 1), 'validation_failed: The file is empty.');
  });
});
