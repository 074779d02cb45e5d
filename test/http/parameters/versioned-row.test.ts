import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assertVersion, found, rowReplies } from '../../../src/http/parameters/versioned-row.ts';

const row = { id: 7, version: 3, title: 'A note' };

it('a row that is there is returned, and a missing one is 404 with a sentence that names it', () => {
  assert.equal(found(row, 'note', 7), row);
  assert.throws(() => found(undefined, 'note', 7), {
    code: 'not_found',
    message: 'There is no note with the id 7.',
  });
});

it('a version that the caller does not want changed is refused with 412', () => {
  assertVersion(row, (version) => version === 3, 'note');
  assert.throws(() => assertVersion(row, (version) => version === 2, 'note'), {
    code: 'precondition_failed',
    message: /^The note has another version than If-Match or If-None-Match requires/,
  });
});

it('a row is shown with its entity tag, and a new one also with its path', () => {
  const { shown, created } = rowReplies<typeof row>('/api/v1/notes');
  assert.deepEqual([shown(row).status, shown(row).headers], [200, { etag: '"7.v3"' }]);
  assert.deepEqual(
    [created(row).status, created(row).headers],
    [201, { location: '/api/v1/notes/7', etag: '"7.v3"' }],
  );
});
