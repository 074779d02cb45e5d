import assert from 'node:assert/strict';
import { it } from 'node:test';
import { patchedColumns } from '../../src/db/patch.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

it('a patch changes the columns that it has and that are allowed, and counts the version', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await sql`
    create table notes (
      id int primary key, title text not null, text text, version int not null default 1,
      updated_at timestamptz not null default '2020-01-01'
    )`;
  await sql`insert into notes (id, title, text) values (1, 'A title', 'A text')`;
  const apply = async (patch: Readonly<Record<string, string | null | undefined>>) => {
    const [row] = await sql`
      update notes set ${patchedColumns(sql, patch, ['title', 'text'])} where id = 1
      returning id, title, text, version, updated_at > '2020-01-01' as is_updated`;
    return row;
  };
  const row = { id: 1, title: 'A title', text: 'A text', is_updated: true };
  assert.deepEqual({ ...(await apply({ id: '2', version: '9' })) }, { ...row, version: 2 });
  assert.deepEqual(
    { ...(await apply({ title: "It's new", text: undefined })) },
    { ...row, title: "It's new", version: 3 },
  );
  assert.deepEqual(
    { ...(await apply({ title: 'B', text: null })) },
    { ...row, title: 'B', text: null, version: 4 },
  );
});
