import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { databaseUrl } from '../../../src/settings/kinds/database-url.ts';

const hintFor = (text: string) => databaseUrl().safeParse(text).error?.issues[0]?.message;

describe('a database URL', () => {
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
    ['sqlite+aiosqlite:///./app.db', /only PostgreSQL is supported/],
    ['sqlite:///app.db', /only PostgreSQL/],
    ['mysql://db/app', /only PostgreSQL/],
    ['postgresx://db/app', /only PostgreSQL/],
    ['embeded', /neither embedded nor none nor a URL/],
    ['postgres:db', /neither embedded nor none nor a URL/],
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
    test(`${text} is rejected with a hint`, () => assert.match(hintFor(text) ?? 'accepted', hint));
  }
});
