/**
 * Reads a CSV file (RFC 4180) row by row with the optional package `csv-parse`: fields separated by commas and quoted if
 * necessary, lines that end with CRLF, LF or CR, and the column names in the first line. Empty lines are skipped. Only a
 * few rows are in memory, whatever the size of the file.
 *
 * An invalid row becomes an error of that row, and the next row is read. After an unclosed quote or an endless row, the
 * start of the next row is unknown, so such an error is the last row.
 */

import { createReadStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { needsPackage } from '../../errors.ts';
import { TaskRejection } from '../../jobs/task.ts';

/** One row; `line` is the line in the file where it starts, from 1, and `bytes` the position in the file where it ends. */
export type CsvRow = {
  readonly line: number;
  readonly bytes: number;
} & ({ readonly values: Readonly<Record<string, string>> } | { readonly error: string });

/** A row as the package parses it. */
interface Parsed {
  readonly record: readonly string[];
  readonly bytes: number;
  /** The number of empty lines before the row. */
  readonly emptyLines: number;
}

type Package = Awaited<ReturnType<typeof loadPackage>>;

/** Maximum size of one row. */
const maxRowBytes = 10_000;

const quoteErrors: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'A quote is opened in this row and never closed.',
  INVALID_OPENING_QUOTE:
    'A quote is inside of an unquoted field: put the field in quotes, and double the quote.',
  CSV_INVALID_CLOSING_QUOTE: 'The field continues after its closing quote: double the quotes inside of it.',
  CSV_MAX_RECORD_SIZE: `The row is longer than ${maxRowBytes} bytes.`,
};

/**
 * Yields the rows of the file at `path`, which must have these columns in any order. Throws a TaskRejection for an invalid
 * header or other columns, an Error if the package is not installed, and errors of the file system.
 */
export async function* readCsv(path: string, columns: readonly string[]): AsyncGenerator<CsvRow, void> {
  const csv = await loadPackage();
  let header: readonly string[] | undefined;
  let lines = 1;
  let line = 1;
  let end = 0;
  try {
    for await (const { record, bytes, emptyLines } of parse(path, csv)) {
      line = lines + emptyLines;
      if (record.length > 1 || record[0] !== '') {
        if (header === undefined) assertColumns(record, columns, line);
        else yield { line, bytes, ...readRow(header, record) };
        header ??= record;
      }
      lines += linesOf(record);
      end = bytes;
    }
  } catch (error) {
    if (!(error instanceof csv.CsvError)) throw error;
    const found = quoteErrors[error.code] ?? error.message;
    const reason = `${found} The rest of the file was not checked.`;
    line = lines + Number(Reflect.get(error, 'empty_lines') ?? 0);
    if (header === undefined) throw headerError(columns, line, reason);
    yield { line, bytes: end, error: reason };
  }
  if (header === undefined) assertColumns([], columns, 1);
}

/**
 * Yields the records of the file, and throws an error of the parser only after the records before the error. The stream of the
 * package would drop records that it has not emitted before the error, so `on_record` collects them.
 */
async function* parse(path: string, csv: Package): AsyncGenerator<Parsed, void> {
  const parsed: Parsed[] = [];
  const parser = csv.parse({
    bom: true,
    max_record_size: maxRowBytes,
    on_record(record: readonly string[], { bytes, empty_lines: emptyLines }) {
      parsed.push({ record, bytes, emptyLines });
      // The stream then emits nothing.
      return null;
    },
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    // Without this, every line feed would be parsed as a row, and a file of nothing but line feeds would take minutes.
    skip_empty_lines: true,
  });
  const ended = finished(parser.resume()).catch((error: unknown) => error);
  for await (const chunk of createReadStream(path)) {
    await new Promise((taken) => parser.write(chunk, taken));
    yield* parsed.splice(0);
    if (parser.errored !== null) break;
  }
  parser.end();
  const failure = await ended;
  yield* parsed.splice(0);
  if (failure !== undefined) throw failure;
}

function readRow(header: readonly string[], record: readonly string[]) {
  if (record.length !== header.length) {
    return { error: `The row has ${record.length} fields, but the header has ${header.length}.` };
  }
  return { values: Object.fromEntries(header.map((name, at) => [name, record[at] ?? ''])) };
}

/** Counts the lines of a row. A quoted field may contain line breaks. */
function linesOf(record: readonly string[]): number {
  let lines = 1;
  for (const field of record) lines += field.match(/\r\n|\r|\n/g)?.length ?? 0;
  return lines;
}

function assertColumns(header: readonly string[], columns: readonly string[], line: number): void {
  const errors = [
    ...columns.filter((name) => !header.includes(name)).map((name) => `The column "${name}" is missing.`),
    ...header
      .filter((name, at) => !columns.includes(name) || header.indexOf(name) !== at)
      .slice(0, maxListedColumns)
      .map(
        (name) => `The column "${startOf(name)}" is ${columns.includes(name) ? 'there twice' : 'unknown'}.`,
      ),
  ];
  if (errors.length > 0) throw headerError(columns, line, errors.join(' '));
}

/** Returns the first 50 characters of a name, without splitting a surrogate pair. */
function startOf(name: string): string {
  return Array.from(name).slice(0, 50).join('');
}

function headerError(columns: readonly string[], line: number, reason: string): TaskRejection {
  return new TaskRejection(`The first line of the file must be "${columns.join(',')}": ${reason}`, {
    rows: [{ line, reason }],
    total: 1,
  });
}

/** How many unknown columns are named. */
const maxListedColumns = 10;

async function loadPackage() {
  try {
    return await import('csv-parse');
  } catch (cause) {
    // The file is not invalid, so the job fails with an ordinary error and keeps the file for the next attempt.
    throw new Error(`Reading a CSV file ${needsPackage('csv-parse', cause)} where jobs run.`, { cause });
  }
}
