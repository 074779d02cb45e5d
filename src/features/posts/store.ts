import { violatedConstraint } from '../../db/database-error.ts';
import { type Keyset, keysetCondition, keysetOrder } from '../../db/keyset.ts';
import { patchedColumns } from '../../db/patch.ts';
import { onlyRow, type Sql } from '../../db/sql.ts';
import type { NewPost, PostPatch } from './schema.ts';

/** A row of `posts`. */
export interface Post {
  readonly id: number;
  readonly author_id: number;
  readonly title: string;
  readonly body: string;
  /** The number of the version, for the entity tag. */
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** A post with its author. */
export interface ListedPost extends Post {
  readonly author: { readonly id: number; readonly username: string };
}

/** Whether an error means that the author does not exist. */
export function isUnknownAuthor(error: unknown): boolean {
  return violatedConstraint(error) === 'posts_author_id_fkey';
}

export async function insertPost(sql: Sql, authorId: number, { title, body }: NewPost): Promise<Post> {
  const rows = await sql<Post[]>`
    insert into posts (author_id, title, body)
    values (${authorId}, ${title}, ${body})
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

export async function findPost(sql: Sql, id: number): Promise<Post | undefined> {
  const [post] = await sql<Post[]>`select ${columns(sql)} from posts where id = ${id}`;
  return post;
}

/** Returns the post, locked until the transaction ends. */
export async function lockPost(sql: Sql, id: number): Promise<Post | undefined> {
  const [post] = await sql<Post[]>`select ${columns(sql)} from posts where id = ${id} for update`;
  return post;
}

/**
 * Lists posts with their authors in one statement. Querying each author separately would cost a round trip per row.
 */
export async function listPosts(
  sql: Sql,
  keyset: Keyset,
  authorId: number | undefined,
): Promise<ListedPost[]> {
  const rows = await sql<(Post & { username: string })[]>`
    select ${columns(sql)}, users.username
    from posts join users on users.id = posts.author_id
    where ${authorId === undefined ? sql`true` : sql`posts.author_id = ${authorId}`}
      and ${keysetCondition(sql, 'posts.id', keyset)}
    ${keysetOrder(sql, 'posts.id', keyset)}`;
  return rows.map(({ username, ...post }) => ({ ...post, author: { id: post.author_id, username } }));
}

/** Changes a post that is locked. */
export async function updatePost(sql: Sql, id: number, patch: PostPatch): Promise<Post> {
  const rows = await sql<Post[]>`
    update posts set ${patchedColumns(sql, patch, ['title', 'body'])}
    where id = ${id}
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

export async function deletePost(sql: Sql, id: number): Promise<void> {
  await sql`delete from posts where id = ${id}`;
}

function columns(sql: Sql) {
  return sql`
    posts.id, posts.author_id, posts.title, posts.body, posts.version, posts.created_at, posts.updated_at`;
}
