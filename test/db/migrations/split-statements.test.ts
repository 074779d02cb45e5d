import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { splitStatements } from '../../../src/db/migrations/split-statements.ts';

const texts = (sql: string) => splitStatements(sql).map(({ text }) => text);

describe('splitting SQL into statements', () => {
  const table: readonly (readonly [name: string, sql: string, expected: readonly string[]])[] = [
    ['two statements', 'select 1; select 2;', ['select 1', 'select 2']],
    ['a last statement without a semicolon', 'select 1;\nselect 2\n', ['select 1', 'select 2']],
    ['nothing but space, comments and semicolons', ' ;; -- a;b\n /* c; */ ;', []],
    ['a semicolon in a text', "select 'a;b'; select 2", ["select 'a;b'", 'select 2']],
    ['a doubled quote in a text', "select 'it''s; so'; select 2", ["select 'it''s; so'", 'select 2']],
    ['a backslash in a plain text', "select '\\'; select 2", ["select '\\'", 'select 2']],
    ['an escaped quote in an E text', "select E'\\';'; select 2", ["select E'\\';'", 'select 2']],
    ['a semicolon in a name', 'select 1 as "a;""b"; select 2', ['select 1 as "a;""b"', 'select 2']],
    ['a line comment with a quote', "select 1 -- it's; so\n; select 2", ["select 1 -- it's; so", 'select 2']],
    [
      'comments that nest',
      'select /* a; /* b; */ c; */ 1; select 2',
      ['select /* a; /* b; */ c; */ 1', 'select 2'],
    ],
    ['comments before a statement', '-- why;\n/* how */ select 1;', ['select 1']],
    [
      'a dollar-quoted body',
      "do $$ begin perform 1; perform ';'; end $$; select 2",
      ["do $$ begin perform 1; perform ';'; end $$", 'select 2'],
    ],
    [
      'a tagged body with another inside',
      'select $a$ x; $$; $b$ $a$; select 2',
      ['select $a$ x; $$; $b$ $a$', 'select 2'],
    ],
    [
      'parameters and names with dollars',
      'select $1, a$b; select c$d$e; select 3',
      ['select $1, a$b', 'select c$d$e', 'select 3'],
    ],
    [
      'a function with a body of SQL',
      'create or replace function f() returns int begin atomic; select case when true then 1 end; select 2; end; select 3',
      [
        'create or replace function f() returns int begin atomic; select case when true then 1 end; select 2; end',
        'select 3',
      ],
    ],
    [
      'a table with a column named begin',
      'create table t ("begin" int, atomic int); select case when true then 1 end; select 2',
      ['create table t ("begin" int, atomic int)', 'select case when true then 1 end', 'select 2'],
    ],
    ['an unclosed text', "select 'a; b", ["select 'a; b"]],
  ];
  for (const [name, sql, expected] of table) {
    it(`splitting handles ${name}`, () => assert.deepEqual(texts(sql), expected));
  }

  it('lines are counted from the first character of each statement', () => {
    const statements = splitStatements("-- one\nselect\n  'two\n;';\n\n/* six\n */ select 7;");
    assert.deepEqual(
      statements.map(({ line }) => line),
      [2, 7],
    );
  });

  it('a statement stays complete, whatever is quoted in it', () => {
    const content = fc.string({
      unit: fc.constantFrom('a', ';', "'", '"', '$', '-', '/', '*', '\n', ' ', '\\'),
    });
    const quoted = fc.oneof(
      content.map((text) => `'${text.replaceAll("'", "''")}'`),
      content.map((text) => `"${text.replaceAll('"', '""')}"`),
      content.map((text) => `$q$${text.replaceAll('$', '')}$q$`),
      content.map((text) => `/*${text.replaceAll('/', '').replaceAll('*', '')}*/`),
    );
    const statement = fc.array(quoted, { maxLength: 4 }).map((parts) => `select ${parts.join(' , ')} , 1`);
    fc.assert(
      fc.property(fc.array(statement, { minLength: 1 }), (statements) => {
        assert.deepEqual(texts(statements.join(';\n')), statements);
      }),
    );
  });
});
