/**
 * Posts are written by a user and deleted with the user. The foreign key enforces this: it rejects a post whose author does
 * not exist, so a concurrently deleted author leaves no orphan.
 *
 * Posts are public, so their existence is no secret: a caller who may not change one gets 403, not 404. The author and
 * admins may change it.
 */

import * as z from 'zod';
import { mayActFor, type Principal } from '../../auth/principal.ts';
import type { Cache } from '../../cache/cache.ts';
import type { Database } from '../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../db/keyset.ts';
import type { BeforeCommit } from '../../db/transaction.ts';
import { AppError } from '../../errors.ts';
import { assertVersion, found, type VersionCondition } from '../../http/parameters/versioned-row.ts';
import type { Logger } from '../../observability/logger.ts';
import type { CounterSeries } from '../../observability/metrics/metrics.ts';
import { usersTag } from '../identity/users/users.ts';
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

export type { Post };

const noun = 'post';

/** A change of a post, with its caller. */
export interface PostChange {
  readonly caller: Principal;
  readonly id: number;
  readonly patch: PostPatch;
  readonly condition: VersionCondition;
}

/**
 * Every method rejects with an AppError: `not_found` for an unknown id, `forbidden` for a post of another user,
 * `precondition_failed` for a version that the caller's condition excludes, or a database error.
 */
export interface Posts {
  write(author: Principal, newPost: NewPost, beforeCommit?: BeforeCommit<Post>): Promise<Post>;
  get(id: number): Promise<Post>;
  /** Lists the posts of one author, or of all authors. An unknown author has none. */
  list(keyset: Keyset, authorId: number | undefined): Promise<KeysetPage<ListedPost>>;
  update(change: PostChange, beforeCommit?: BeforeCommit<Post>): Promise<Post>;
  remove(caller: Principal, id: number, condition: VersionCondition): Promise<void>;
}

export interface PostsOptions {
  readonly database: Database;
  readonly cache: Cache;
  readonly log: Logger;
  /** Counts the posts that are created. */
  readonly created: Pick<CounterSeries, 'add'>;
}

/** A page as it is cached. Its fields are those of the row, so that a hit and a miss are equal. */
const cachedPage = z.object({
  items: z.array(
    z.object({
      id: z.number(),
      author_id: z.number(),
      title: z.string(),
      body: z.string(),
      version: z.number(),
      created_at: z.coerce.date(),
      updated_at: z.coerce.date(),
      author: z.object({ id: z.number(), username: z.string() }),
    }),
  ),
  older: z.object({ side: z.literal('older'), id: z.number() }).optional(),
});

const postsTag = 'posts';

export function createPosts({ database, cache, log, created }: PostsOptions): Posts {
  const { sql } = database;
  const readPage = async (keyset: Keyset, authorId: number | undefined) =>
    keysetPage(await listPosts(sql, keyset, authorId), keyset);
  /** Every reader gets this page. Pages by cursor or author are many, and each is read rarely. */
  const firstPage = cache.cached({
    name: 'posts.first_page',
    key: (limit: number) => String(limit),
    tags: () => [postsTag, usersTag],
    ttl: 5,
    schema: cachedPage,
  })((limit) => readPage({ limit, from: undefined }, undefined));
  return {
    async write(author, newPost, beforeCommit) {
      const writing = database.transaction(async (tx) => {
        const inserted = await insertPost(tx, author.userId, newPost);
        await beforeCommit?.(tx, inserted);
        return inserted;
      });
      const post = await writing.catch((error: unknown) => {
        throw isUnknownAuthor(error) ? authorIsGone() : error;
      });
      await cache.invalidate(postsTag);
      created.add();
      log.info('post.created', { post_id: post.id, author_id: post.author_id });
      return post;
    },

    async get(id) {
      return found(await findPost(sql, id), noun, id);
    },

    async list(keyset, authorId) {
      if (keyset.from !== undefined || authorId !== undefined) return readPage(keyset, authorId);
      const { items, older } = await firstPage(keyset.limit);
      return { items, older, newer: undefined };
    },

    async update({ caller, id, patch, condition }, beforeCommit) {
      const post = await database.transaction(async (tx) => {
        requireChange(caller, found(await lockPost(tx, id), noun, id), condition);
        const updated = await updatePost(tx, id, patch);
        await beforeCommit?.(tx, updated);
        return updated;
      });
      await cache.invalidate(postsTag);
      log.info('post.updated', {
        post_id: id,
        author_id: post.author_id,
        fields: Object.keys(patch),
        by_user_id: caller.userId,
      });
      return post;
    },

    async remove(caller, id, condition) {
      const post = await database.transaction(async (tx) => {
        const locked = found(await lockPost(tx, id), noun, id);
        requireChange(caller, locked, condition);
        await deletePost(tx, id);
        return locked;
      });
      await cache.invalidate(postsTag);
      log.info('post.deleted', { post_id: id, author_id: post.author_id, by_user_id: caller.userId });
    },
  };
}

/** Throws an AppError if the caller may not change the post, or if the caller's condition excludes its version. */
function requireChange(caller: Principal, post: Post, condition: VersionCondition): void {
  if (!mayActFor(caller, post.author_id)) {
    throw new AppError(
      'forbidden',
      'This post belongs to another user: only its author and admins may change it.',
    );
  }
  assertVersion(post, condition, noun);
}

/** Cached credentials may outlive a user by some seconds. */
function authorIsGone(): AppError {
  return new AppError('forbidden', 'Your account was deleted, so it cannot write posts.');
}
