/**
 * Cursor pagination (keyset). A cursor means "the rows older than this one", not "the rows from the 40th on". So a client that
 * pages through a list sees each row once, whatever is inserted or deleted meanwhile, and the last page costs as much as the
 * first. For clients the cursor is opaque text. It contains no secret and grants nothing, so it is validated and not signed.
 *
 * The body has `items` and `next_cursor`. The `Link` header (RFC 8288) has the URLs of the next, the previous and the first
 * page.
 */

import * as z from 'zod';
import { ok } from '../reply.ts';
import { integerParameter } from './parameters.ts';

const position = z.strictObject({ side: z.enum(['older', 'newer']), id: z.int().min(1) });

/** Where a page starts: next to the row `id`, on the side of the older or of the newer rows. */
export type Position = Readonly<z.output<typeof position>>;

/** The query of a list. Add filters with `pageQuery.extend({ … })`. */
export const pageQuery = z.object({
  limit: integerParameter(1, 100)
    .default(20)
    .meta({ description: 'The maximum number of items on the page.', example: 20 }),
  cursor: z
    .string()
    .max(200, 'Use a cursor from an earlier response.')
    .refine((text) => decodeCursor(text) !== undefined, 'Use a cursor from an earlier response.')
    .optional()
    .meta({
      description:
        'Where the page starts: `next_cursor` of an earlier response. Leave it out for the first page.',
    }),
});

export type PageQuery = z.output<typeof pageQuery>;

/** Returns the schema of a page of `item`. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item).max(100).meta({ description: 'The newest first.' }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'The `cursor` of the next page; null on the last page.', maxLength: 200 }),
  });
}

/** A page that was read: its items, and where its neighbours start, if it has any. */
export interface Page<Item> {
  readonly items: Item[];
  readonly older: Position | undefined;
  readonly newer: Position | undefined;
}

/** Returns the position of a validated cursor; undefined without a cursor. */
export function positionOf({ cursor }: PageQuery): Position | undefined {
  return cursor === undefined ? undefined : decodeCursor(cursor);
}

/** Returns which rows a query asks for, for `keysetCondition` and `keysetOrder` in db/keyset.ts. */
export function keysetOf(query: PageQuery): { readonly limit: number; readonly from: Position | undefined } {
  return { limit: query.limit, from: positionOf(query) };
}

/** The header fields of `pageReply`, for the `responses` of a route. */
export const pageHeaders = { Link: 'The neighbouring pages (RFC 8288).' };

/** 200 with a page of the collection at `path`: its items, and links to its neighbours with the same filters. */
export function pageReply<Item>(path: string, query: PageQuery, page: Page<Item>) {
  return ok(pageBody(page), pageLinks(path, query, page));
}

/** Returns the body of a page, as `pageOf` declares it. */
export function pageBody<Item>({ items, older }: Page<Item>): { items: Item[]; next_cursor: string | null } {
  return { items, next_cursor: older === undefined ? null : encodeCursor(older) };
}

/** Returns the `Link` header of a page: its neighbours with the same path, limit and filters. Empty if it has none. */
export function pageLinks(
  path: string,
  query: PageQuery,
  { older, newer }: Page<unknown>,
): { link?: string } {
  const links: string[] = [];
  const add = (rel: string, cursor: string | undefined) => {
    const target = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...query, cursor })) {
      if (value !== undefined) target.set(name, String(value));
    }
    links.push(`<${path}?${target}>; rel="${rel}"`);
  };
  if (older !== undefined) add('next', encodeCursor(older));
  if (newer !== undefined) add('prev', encodeCursor(newer));
  if (query.cursor !== undefined) add('first', undefined);
  return links.length === 0 ? {} : { link: links.join(', ') };
}

function encodeCursor(at: Position): string {
  return Buffer.from(JSON.stringify(at)).toString('base64url');
}

function decodeCursor(text: string): Position | undefined {
  try {
    return position.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString())).data;
  } catch {
    return undefined;
  }
}
