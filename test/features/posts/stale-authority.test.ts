import { onlyRow } from '../../../src/db/sql.ts';
import { json, testStaleAuthority } from '../../helpers/stale-authority.ts';

testStaleAuthority({
  operations: [
    {
      ...{ operationId: 'createPost', method: 'POST' },
      request: () => ({ path: '/posts', headers: json, body: '{"title":"A title","body":"A text"}' }),
    },
    {
      ...{ operationId: 'updatePost', method: 'PATCH', forAdmins: true },
      request: ({ postId }) => ({ path: `/posts/${postId}`, headers: json, body: '{"title":"Another"}' }),
    },
    {
      ...{ operationId: 'deletePost', method: 'DELETE', forAdmins: true },
      request: ({ postId }) => ({ path: `/posts/${postId}` }),
    },
  ],
  async mustOwn(sql, userId) {
    const post = onlyRow(
      await sql<{ id: number }[]>`
        insert into posts (author_id, title, body) values (${userId}, 'A title', 'A text') returning id`,
    );
    return { postId: post.id };
  },
});
