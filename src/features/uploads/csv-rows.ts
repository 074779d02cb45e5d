/**
 * Reads a CSV file (RFC 4180) row by row with the optional package `csv-parse`: fields between commas, in quotes where
 * they have to be, lines that end with CRLF, LF or CR, the names of the columns in the first. An empty line is none.
 * Whatever its size, a file is in memory with a few rows.
 *
 * What is wrong with one row is a fault of that row, and the next one is read. Behind a quote that is never closed, or a
 * row that does not end, nobody knows where the next one begins: such a fault is the last row.
 */

import { createReadStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { needsPackage } from '../../errors.ts';
import { TaskRefusal } from '../../jobs/task.ts';

/** One row; `line` is the line of the file on which it begins, from 1, and `bytes` how far in the file it ends. */
export type CsvRow = {
  readonly line: number;
  readonly bytes: number;
} & ({ readonly values: Readonly<Record<string, string>> } | { readonly error: string });

/** What the package makes of a row. */
interface Parsed {
  readonly record: readonly string[];
  readonly bytes: number;
  /** The lines without anything before the row. */
  readonly emptyLines: number;
}

type Package = Awaited<ReturnType<typeof loadPackage>>;

/** Of one row, in bytes. */
const maxRowBytes = 10_000;

const quoteErrors: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'A quote is opened in this row and never closed.',
  INVALID_OPENING_QUOTE: 'A quote stands inside a field: put the field in quotes, and double the quote.',
  CSV_INVALID_CLOSING_QUOTE: 'Behind a closing quote the field goes on: double the quotes inside of it.',
  CSV_MAX_RECORD_SIZE: `The row is longer than ${maxRowBytes} bytes.`,
};

/**
 * The rows of the file at `path` that stand under these columns, which may come in any order. Throws a TaskRefusal for a
 * header with other columns or a fault, an Error for a package that is not installed, and the errors of the system.
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
    const reason = `${found} What follows in the file was not checked.`;
    line = lines + Number(Reflect.get(error, 'empty_lines') ?? 0);
    if (header === undefined) throw headerRefusal(columns, line, reason);
    yield { line, bytes: end, error: reason };
  }
  if (header === undefined) assertColumns([], columns, 1);
}

/**
 * The records of the file. Throws what the package finds wrong, behind the records that stand before it: those that its
 * stream has not given out yet would be lost with its error, so they are taken as they are made.
 */
async function* parse(path: string, csv: Package): AsyncGenerator<Parsed, void> {
  const parsed: Parsed[] = [];
  const parser = csv.parse({
    bom: true,
    max_record_size: maxRowBytes,
    on_record(record: readonly string[], { bytes, empty_lines: emptyLines }) {
      parsed.push({ record, bytes, emptyLines });
      return null;
    },
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    // Without this a file of line feeds takes the time of as many rows.
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
    return { error: `The row has ${record.length} fields, and the header has ${header.length}.` };
  }
  return { values: Object.fromEntries(header.map((name, at) => [name, record[at] ?? ''])) };
}

/** A field in quotes may have line breaks of its own. */
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
      .map((name) => `The column "${startOf(name)}" is not taken${columns.includes(name) ? ' twice' : ''}.`),
  ];
  if (errors.length > 0) throw headerRefusal(columns, line, errors.join(' '));
}

/** Its first 50 characters, none of them cut in two. */
function startOf(name: string): string {
  return Array.from(name).slice(0, 50).join('');
}

function headerRefusal(columns: readonly string[], line: number, reason: string): TaskRefusal {
  return new TaskRefusal(`The first line of the file must be "${columns.join(',')}": ${reason}`, {
    rows: [{ line, reason }],
    total: 1,
  });
}

/** Of those that are not taken, how many are named. */
const maxListedColumns = 10;

async function loadPackage() {
  try {
    return await import('csv-parse');
  } catch (cause) {
    // The file is not invalid, so the job fails with an ordinary error and keeps the file for the next attempt.
    throw new Error(`Reading a CSV file ${needsPackage('csv-parse', cause)} where jobs run.`, { cause });
  }
}
