import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { databaseUrl } from '../../../src/settings/kinds/database-url.ts';

const refusal = (text: string) => databaseUrl().safeParse(text).error?.issues[0]?.message;

describe('the database', () => {
  for (const [text, url] of [
    ['embedded', 'embedded'],
    ['NONE', 'none'],
    ['postgres://db/app', 'postgres://db/app'],
    [
      'postgresql://ada:secret@db:5433/app?sslmode=require',
      'postgresql://ada:secret@db:5433/app?sslmode=require',
    ],
    ['postgresql+asyncpg://ada:secret@db/app', 'postgresql://ada:secret@db/app'],
    ['postgresql+psycopg2://db/app', 'postgresql://db/app'],
    ['POSTGRES://db/app', 'postgres://db/app'],
    ['postgres://ada:p%40ss%2Fword%23@db/app', 'postgres://ada:p%40ss%2Fword%23@db/app'],
    ['postgres://[::1]:5432/app', 'postgres://[::1]:5432/app'],
  ] as const) {
    test(`${text} is read as ${url}`, () => assert.equal(databaseUrl().parse(text), url));
  }

  for (const [text, hint] of [
    ['sqlite+aiosqlite:///./app.db', /no other database than PostgreSQL is supported/],
    ['sqlite:///app.db', /no other database than PostgreSQL/],
    ['mysql://db/app', /no other database than PostgreSQL/],
    ['postgresx://db/app', /no other database than PostgreSQL/],
    ['embeded', /neither of the two words and not a URL/],
    ['postgres:db', /neither of the two words and not a URL/],
    ['postgres://', /names no host|not valid/],
    ['postgres:///app', /names no host/],
    ['postgres://db:99999/app', /not valid/],
    ['postgres://ada:p@ss:w/rd@db/app', /percent-encode/],
    ['postgres://ada:p#ss@db/app', /percent-encode/],
    ['postgres://ada:5/x@db/app', /percent-encode/],
    ['postgres://ada:5?x@db/app', /percent-encode/],
    ['postgres://ada:%zz@db/app', /percent-encode/],
    ['postgres://ada:p ss@db/app', /percent-encode/],
  ] as const) {
    test(`${text} is refused with a sentence that helps`, () =>
      assert.match(refusal(text) ?? 'accepted', hint));
  }
});
