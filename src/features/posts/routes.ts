import * as z from 'zod';
import { callerOf } from '../../http/caller.ts';
import { keysetOf, pageHeaders, pageOf, pageQuery, pageReply } from '../../http/parameters/pagination.ts';
import { idParameter, versionCondition, writeConditions } from '../../http/parameters/parameters.ts';
import { createdHeaders, rowReplies, shownHeaders } from '../../http/parameters/versioned-row.ts';
import { noContent } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { Post, Posts } from './posts.ts';
import { listedPost, maxPostBytes, newPost, post, postPatch } from './schema.ts';

export interface PostsRoutesOptions {
  readonly posts: Posts;
  /** The prefix of the paths of these routes, such as `/api/v1`. */
  readonly prefix: string;
}

const params = z.object({ id: idParameter.describe('The number of the post.') });
const listQuery = pageQuery.extend({
  author_id: idParameter.optional().meta({ description: 'Only posts of this user.' }),
});
const postPage = pageOf(listedPost).meta({ id: 'PostPage' });

/** Reading is public; users can write, and the author and admins can change. */
export function postsRoutes({ posts, prefix }: PostsRoutesOptions): Route[] {
  const path = `${prefix}/posts`;
  const { shown, created } = rowReplies<Post>(path);
  return [
    route({
      method: 'POST',
      path: '/posts',
      operationId: 'createPost',
      summary: 'Write a post',
      description: 'The author is the caller.',
      tags: ['posts'],
      auth: 'any',
      scopes: ['posts:write'],
      idempotent: true,
      body: newPost,
      maxBody: maxPostBytes,
      example: { title: 'Notes on the engine', body: 'It weaves algebraic patterns.' },
      responses: {
        201: { description: 'The new post.', schema: post, headers: createdHeaders },
      },
      problems: ['database_unavailable'],
      async handler({ body, ctx, recordReply }) {
        return created(await posts.write(callerOf(ctx), body, recordReply(created)));
      },
    }),
    route({
      method: 'GET',
      path: '/posts',
      operationId: 'listPosts',
      summary: 'List posts',
      description:
        'Lists posts with their authors page by page, newest first. The `Link` header has the next and the previous page.',
      tags: ['posts'],
      auth: 'none',
      query: listQuery,
      responses: {
        200: { description: 'A page of posts.', schema: postPage, headers: pageHeaders },
      },
      problems: ['database_unavailable'],
      async handler({ query }) {
        return pageReply(path, query, await posts.list(keysetOf(query), query.author_id));
      },
    }),
    route({
      method: 'GET',
      path: '/posts/:id',
      operationId: 'getPost',
      summary: 'Read a post',
      tags: ['posts'],
      auth: 'none',
      params,
      responses: { 200: { description: 'The post.', schema: post, headers: shownHeaders } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params }) {
        return shown(await posts.get(params.id));
      },
    }),
    route({
      method: 'PATCH',
      path: '/posts/:id',
      operationId: 'updatePost',
      summary: 'Change a post',
      description:
        'Changes only the fields that are sent (RFC 7396). With `If-Match`, only if the post has not been changed since it ' +
        'was read. For its author and for admins.',
      tags: ['posts'],
      auth: 'any',
      scopes: ['posts:write'],
      idempotent: true,
      params,
      headers: writeConditions,
      body: postPatch,
      maxBody: maxPostBytes,
      accepts: ['application/json', 'application/merge-patch+json'],
      example: { title: 'Notes on the analytical engine' },
      responses: { 200: { description: 'The changed post.', schema: post, headers: shownHeaders } },
      problems: ['forbidden', 'not_found', 'database_unavailable'],
      async handler({ params, headers, body, ctx, recordReply }) {
        const change = {
          caller: callerOf(ctx),
          id: params.id,
          patch: body,
          condition: versionCondition(headers, params.id),
        };
        return shown(await posts.update(change, recordReply(shown)));
      },
    }),
    route({
      method: 'DELETE',
      path: '/posts/:id',
      operationId: 'deletePost',
      summary: 'Delete a post',
      description: 'For its author and for admins.',
      tags: ['posts'],
      auth: 'any',
      scopes: ['posts:write'],
      params,
      headers: writeConditions,
      responses: { 204: { description: 'The post was deleted.' } },
      problems: ['forbidden', 'not_found', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        await posts.remove(callerOf(ctx), params.id, versionCondition(headers, params.id));
        return noContent();
      },
    }),
  ];
}
