import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { type CsvRow, readCsv } from '../../../src/features/uploads/csv-rows.ts';
import { TaskRejection } from '../../../src/jobs/task.ts';
import { mustMakeFolder } from '../../helpers/program.ts';

const columns = ['name', 'mail'];

async function rowsOf(t: TestContext, content: string | Uint8Array): Promise<CsvRow[]> {
  const path = join(await mustMakeFolder(t), 'file');
  await writeFile(path, content);
  return rowsIn(path);
}

async function rowsIn(path: string): Promise<CsvRow[]> {
  const rows: CsvRow[] = [];
  for await (const row of readCsv(path, columns)) rows.push(row);
  return rows;
}

/** The rows without how far they are in the file. */
const plain = (rows: readonly CsvRow[]) => rows.map(({ bytes: _bytes, ...row }) => row);

describe('the rows of a CSV file', () => {
  const same: [what: string, content: string][] = [
    ['with CRLF', 'name,mail\r\na,b\r\nc,d\r\n'],
    ['with LF', 'name,mail\na,b\nc,d\n'],
    ['with CR', 'name,mail\ra,b\rc,d\r'],
    ['without an end to its last line', 'name,mail\r\na,b\r\nc,d'],
    ['with a byte order mark', '\ufeffname,mail\na,b\nc,d\n'],
    ['with quotes', '"name","mail"\n"a","b"\n"c",d\n'],
    ['with its columns in another order', 'mail,name\nb,a\nd,c\n'],
    ['with line ends of two kinds', 'name,mail\r\na,b\nc,d\r\n'],
  ];
  for (const [what, content] of same) {
    it(`a file ${what} has the same rows`, async (t) => {
      assert.deepEqual(plain(await rowsOf(t, content)), [
        { line: 2, values: { name: 'a', mail: 'b' } },
        { line: 3, values: { name: 'c', mail: 'd' } },
      ]);
    });
  }

  it('each row has the position in the file where it ends', async (t) => {
    const rows = await rowsOf(t, '\ufeffname,mail\na,é\nc,d');
    assert.deepEqual(
      rows.map(({ bytes }) => bytes),
      [18, 21],
    );
  });

  it('quoted fields keep commas, quotes, spaces and line breaks, and lines are counted correctly', async (t) => {
    const rows = await rowsOf(t, 'name,mail\r\n\r\n"a,""b""","c\r\n\r\nd"\r\n" e ", f\r\n\n\ng,h');
    assert.deepEqual(plain(rows), [
      { line: 3, values: { name: 'a,"b"', mail: 'c\r\n\r\nd' } },
      { line: 6, values: { name: ' e ', mail: ' f' } },
      { line: 9, values: { name: 'g', mail: 'h' } },
    ]);
  });

  it('a row with too many or too few fields is an error, and the next row is read', async (t) => {
    assert.deepEqual(plain(await rowsOf(t, 'name,mail\na\nb,c,d\ne,f\n')), [
      { line: 2, error: 'The row has 1 fields, but the header has 2.' },
      { line: 3, error: 'The row has 3 fields, but the header has 2.' },
      { line: 4, values: { name: 'e', mail: 'f' } },
    ]);
  });

  const last: [what: string, row: string, error: RegExp][] = [
    ['opens a quote and never closes it', 'a,"b\nc,d\n', /never closed/],
    ['has a quote inside of a field', 'a,b"c\n', /double the quote/],
    ['continues after a closing quote', 'a,"b"c\n', /continues after/],
    ['is huge', `a,${'b'.repeat(10_001)}\nc,d\n`, /longer than 10000 bytes/],
    ['is huge and never ends', `"${'b'.repeat(3_000_000)}`, /longer than 10000 bytes/],
  ];
  for (const [what, row, reason] of last) {
    it(`reading fails at a row that ${what}`, async (t) => {
      const [good, bad, ...more] = await rowsOf(t, `name,mail\n"x\ny",z\n${row}`);
      assert.deepEqual([good?.line, bad?.line, more], [2, 4, []]);
      assert.ok(bad !== undefined && 'error' in bad);
      assert.match(bad.error, reason);
      assert.match(bad.error, /The rest of the file was not checked\.$/);
    });
  }

  it('rows in 2 MB of line feeds are read fast and with the right line numbers', async (t) => {
    const startedAt = performance.now();
    const feeds = '\n'.repeat(1_000_000);
    assert.deepEqual(
      plain(await rowsOf(t, `${feeds}name,mail\n${feeds}a,b\n\nc,"d`)).map(({ line }) => line),
      [2_000_002, 2_000_004],
    );
    // A tenth of a second; with a row for each line it was 94 s.
    assert.ok(performance.now() - startedAt < 10_000);
  });

  it('a file with only a header has no rows', async (t) => {
    assert.deepEqual(await rowsOf(t, 'name,mail\n'), []);
  });

  const headers: [header: string, expected: RegExp][] = [
    ['', /The column "name" is missing. The column "mail" is missing./],
    ['\n\n', /The column "name" is missing/],
    ['name', /The column "mail" is missing\./],
    ['name,mail,age', /The column "age" is unknown\./],
    ['name,Mail', /"mail" is missing. The column "Mail" is unknown\./],
    ['name,mail,name', /The column "name" is there twice\./],
    ['name;mail', /The column "name;mail" is unknown\./],
  ];
  for (const [header, expected] of headers) {
    it(`the header ${JSON.stringify(header)} is rejected with the names of the columns`, async (t) => {
      await assert.rejects(rowsOf(t, header === '' ? '' : `${header}\na,b\n`), (error) => {
        assert.ok(error instanceof TaskRejection);
        assert.match(error.message, expected);
        assert.match(JSON.stringify(error.details), /^\{"rows":\[\{"line":\d,"reason":.*\}\],"total":1\}$/);
        return true;
      });
    });
  }

  for (const [what, row, reason] of last) {
    it(`a header that ${what} is rejected for that reason, not for its columns`, async (t) => {
      await assert.rejects(rowsOf(t, `\n${row}`), (error) => {
        assert.ok(error instanceof TaskRejection);
        assert.match(error.message, /^The first line of the file must be "name,mail": /);
        assert.match(error.message, reason);
        assert.doesNotMatch(error.message, /missing/);
        assert.match(JSON.stringify(error.details), /^\{"rows":\[\{"line":2,"reason":.*\}\],"total":1\}$/);
        return true;
      });
    });
  }

  it('an unknown column with a long name is reported by its first whole characters', async (t) => {
    await assert.rejects(rowsOf(t, `name,mail,${'a'.repeat(49)}${'😀'.repeat(20)}\n`), (error) => {
      assert.ok(error instanceof TaskRejection);
      assert.ok(error.message.endsWith(`The column "${'a'.repeat(49)}😀" is unknown.`), error.message);
      assert.ok(error.message.isWellFormed());
      return true;
    });
  });

  it('any fields that are written as CSV are read back unchanged', async (t) => {
    const path = join(await mustMakeFolder(t), 'file');
    const field = fc.string({ unit: fc.constantFrom('a', 'é', ',', '"', '\n', '\r', ' ', '😀') });
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(field, field)), async (table) => {
        const lines = [['name', 'mail'], ...table].map((row) => row.map(quoted).join(','));
        await writeFile(path, lines.join('\r\n'));
        const rows = await rowsIn(path);
        assert.deepEqual(
          rows.map((row) => ('values' in row ? [row.values.name, row.values.mail] : row.error)),
          table,
        );
        // Where each begins is where an editor shows it.
        const breaks = (text: string) => text.match(/\r\n|\r|\n/g)?.length ?? 0;
        let line = 1;
        for (const [at, row] of rows.entries()) {
          line += breaks(`${lines[at]}\r\n`);
          assert.equal(row.line, line);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('a missing file rejects with the error of the file system', async (t) => {
    const path = join(await mustMakeFolder(t), 'nothing');
    await assert.rejects(rowsIn(path), { code: 'ENOENT' });
  });
});
