/**
 * Posts: written by a user, and gone with the user. The database holds the tie; a post for an author that is not
 * there is refused by the foreign key, so that an author who is deleted at the same instant leaves no orphan.
 */

import type { Database } from '../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../db/keyset.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { NewPost, PostPatch } from './schema.ts';
import {
  deletePost,
  findPost,
  insertPost,
  isUnknownAuthor,
  type ListedPost,
  listPosts,
  lockPost,
  type Post,
  updatePost,
} from './store.ts';

/** Whether the caller wants the change although the row has this version by now. */
type VersionCondition = (version: number) => boolean;

/**
 * Each rejects with an AppError: `not_found` for an id that no post has, `validation_failed` for an author that is
 * not there, `precondition_failed` for a version that the caller did not want changed, and those of the database.
 */
export interface Posts {
  write(newPost: NewPost): Promise<Post>;
  get(id: number): Promise<Post>;
  /** The posts of one author, or of all. An author that is not there has none. */
  list(keyset: Keyset, authorId: number | undefined): Promise<KeysetPage<ListedPost>>;
  update(id: number, patch: PostPatch, condition: VersionCondition): Promise<Post>;
  remove(id: number, condition: VersionCondition): Promise<void>;
}

export interface PostsOptions {
  readonly database: Database;
  readonly log: Logger;
}

export function createPosts({ database, log }: PostsOptions): Posts {
  const { sql } = database;
  return {
    async write(newPost) {
      const post = await insertPost(sql, newPost).catch((error: unknown) => {
        throw isUnknownAuthor(error) ? unknownAuthor(newPost.author_id) : error;
      });
      log.info('post.created', { post_id: post.id, author_id: post.author_id });
      return post;
    },

    async get(id) {
      return found(await findPost(sql, id), id);
    },

    async list(keyset, authorId) {
      return keysetPage(await listPosts(sql, keyset, authorId), keyset);
    },

    async update(id, patch, condition) {
      const post = await database.transaction(async (tx) => {
        requireVersion(found(await lockPost(tx, id), id), condition);
        return updatePost(tx, id, patch);
      });
      log.info('post.updated', { post_id: id, author_id: post.author_id, fields: Object.keys(patch) });
      return post;
    },

    async remove(id, condition) {
      const post = await database.transaction(async (tx) => {
        const locked = found(await lockPost(tx, id), id);
        requireVersion(locked, condition);
        await deletePost(tx, id);
        return locked;
      });
      log.info('post.deleted', { post_id: id, author_id: post.author_id });
    },
  };
}

function found(post: Post | undefined, id: number): Post {
  if (post === undefined) throw new AppError('not_found', `There is no post with the id ${id}.`);
  return post;
}

function requireVersion({ version }: Post, condition: VersionCondition): void {
  if (condition(version)) return;
  throw new AppError(
    'precondition_failed',
    'The post has been changed meanwhile: read it again, and repeat with its new ETag.',
  );
}

function unknownAuthor(id: number): AppError {
  const detail = `There is no user with the id ${id}: register the author first.`;
  return new AppError('validation_failed', detail, {
    errors: [{ in: 'body', pointer: '/author_id', detail }],
  });
}
