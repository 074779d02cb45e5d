import * as z from 'zod';
import { id, patchOf, shownAs, text, timestamp } from '../../http/body/fields.ts';

const titleLength = 200;
const bodyLength = 20_000;

const title = text({ min: 1, max: titleLength }).meta({
  description: 'The title of the post.',
  example: 'Notes on the engine',
});
const body = text({ min: 1, max: bodyLength }).meta({
  description: 'The text of the post.',
  example: 'It weaves algebraic patterns.',
});
const authorId = id.meta({ description: 'The number of the user who wrote it.' });

/** The body of a request to write a post. */
export const newPost = z.strictObject({ title, body }).meta({ id: 'NewPost' });
export type NewPost = Readonly<z.output<typeof newPost>>;

/** The fields that can be changed. */
export const postPatch = patchOf({ title, body }).meta({ id: 'PostPatch' });
export type PostPatch = Readonly<z.output<typeof postPatch>>;

/** A post as responses show it. */
export const post = z
  .object({
    id: id.meta({ description: 'The number of the post.' }),
    author_id: authorId,
    title: shownAs(title),
    body: shownAs(body),
    created_at: timestamp.meta({ description: 'When the post was written.' }),
    updated_at: timestamp.meta({ description: 'When the post was last changed.' }),
  })
  .meta({ id: 'Post' });

const author = z
  .object({
    id: id.meta({ description: 'The number of the user.' }),
    username: z
      .string()
      .meta({ description: 'The name of the user.', example: 'ada_lovelace', maxLength: 50 }),
  })
  .meta({ id: 'Author', description: 'The user who wrote the post.' });

/** A post in a list, with its author. */
export const listedPost = post.extend({ author }).meta({ id: 'ListedPost' });

/** Maximum size of a request body: each character may be two \uXXXX escapes. */
export const maxPostBytes = 12 * (titleLength + bodyLength) + 1024;
