import assert from 'node:assert/strict';
import { it } from 'node:test';
import { posts } from '../../../src/features/posts/feature.ts';
import { mustInsertUser } from '../../helpers/test-credentials.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

it('a post counts for the day on which it was written', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const moment = new Date('2026-11-22T12:00:00Z');
  await sql`
    insert into posts (author_id, title, body, created_at, updated_at)
    values (${await mustInsertUser(sql)}, 'A title', 'A text', ${moment}, now())`;
  const counts = await Promise.all(
    posts.dailyCounts.map(async ({ name, times }) => ({ name, rows: [...(await times(sql))] })),
  );
  assert.deepEqual(counts, [{ name: 'posts', rows: [{ created_at: moment }] }]);
});
