import { AppError } from '../../errors.ts';
import type { ContentCheck } from '../../http/body/uploaded-file.ts';
import { invalidField } from '../../http/validate.ts';

/** First bytes of files that are often sent instead of CSV files, and their description. */
const signatures: readonly [start: readonly number[], what: string][] = [
  [[0x50, 0x4b, 0x03, 0x04], 'a ZIP archive or a spreadsheet (.xlsx, .ods)'],
  [[0xd0, 0xcf, 0x11, 0xe0], 'an old spreadsheet (.xls)'],
  [[0x1f, 0x8b], 'compressed with gzip'],
  [[0x25, 0x50, 0x44, 0x46, 0x2d], 'a PDF file'],
  [[0x89, 0x50, 0x4e, 0x47], 'a picture'],
  [[0xff, 0xd8, 0xff], 'a picture'],
  [[0x47, 0x49, 0x46, 0x38], 'a picture'],
  [[0xff, 0xfe], 'UTF-16'],
  [[0xfe, 0xff], 'UTF-16'],
];

const maxSignatureBytes = 5;

/** All control characters except tab, line feed and carriage return. */
const isControl = Array.from({ length: 256 }, (_, byte) => byte < 0x20 && ![0x09, 0x0a, 0x0d].includes(byte));

/**
 * Checks by its content whether a file can be a CSV file: UTF-8 text, with or without a byte order mark, without control
 * characters. Throws an AppError as early as possible: `unsupported_media_type` with the detected type, or
 * `validation_failed` for an empty file.
 */
export function createCsvCheck(): ContentCheck {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  let start = Buffer.alloc(0);
  return {
    write(chunk) {
      if (start.length < maxSignatureBytes) {
        start = Buffer.concat([start, chunk.subarray(0, maxSignatureBytes)]);
        const known = signatures.find(([bytes]) => bytes.every((byte, at) => start[at] === byte));
        if (known !== undefined) throw notCsv(`it is ${known[1]}`);
      }
      for (const byte of chunk) if (isControl[byte]) throw notCsv('it has bytes that are not text');
      decode(chunk);
    },
    end() {
      if (start.length === 0) throw invalidField('/file', 'The file is empty.');
      decode();
    },
  };

  /** Without a chunk, checks the end of the file, where no character may be incomplete. */
  function decode(chunk?: Uint8Array): void {
    try {
      if (chunk === undefined) utf8.decode();
      else utf8.decode(chunk, { stream: true });
    } catch {
      throw notCsv('it is not UTF-8');
    }
  }
}

function notCsv(why: string): AppError {
  return new AppError(
    'unsupported_media_type',
    `The file is not a CSV file, because ${why}: save it as CSV in UTF-8 and send that.`,
  );
}
