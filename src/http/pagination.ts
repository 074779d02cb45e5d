/**
 * Lists in pages, by cursor. A cursor says "the rows on this side of that one" and not "the rows from the 40th",
 * so that a client that walks a list meets each row once, whatever is added or removed meanwhile, and the last page
 * costs as much as the first. To a client it is opaque text; it holds no secret and grants nothing, so it is
 * checked for its form and not signed.
 *
 * The body has `items` and `next_cursor`; the `Link` header (RFC 8288) has the next page, the previous one and the
 * first as addresses that are ready to be fetched.
 */

import * as z from 'zod';
import { integerParameter } from './parameters.ts';
import { ok } from './reply.ts';

const position = z.strictObject({ side: z.enum(['older', 'newer']), id: z.int().min(1) });

/** Where a page begins: beside the row `id`, on the side of the older or of the newer ones. */
export type Position = Readonly<z.output<typeof position>>;

/** What a list's route takes in its query; a filter is added with `pageQuery.extend({ … })`. */
export const pageQuery = z.object({
  limit: integerParameter(1, 100)
    .default(20)
    .meta({ description: 'The most items that a page may have.', example: 20 }),
  cursor: z
    .string()
    .max(200, 'Use a cursor as an earlier answer gave it.')
    .refine((text) => decodeCursor(text) !== undefined, 'Use a cursor as an earlier answer gave it.')
    .optional()
    .meta({
      description: 'Where the page begins: `next_cursor` of an earlier answer. The first page has none.',
    }),
});

export type PageQuery = z.output<typeof pageQuery>;

/** The body of a list of `item`. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item).max(100).meta({ description: 'The newest come first.' }),
    next_cursor: z
      .string()
      .nullable()
      .meta({ description: 'The `cursor` of the next page; null on the last one.', maxLength: 200 }),
  });
}

/** What a page was found to be: its items, and where its neighbours begin, if it has any. */
export interface Page<Item> {
  readonly items: Item[];
  readonly older: Position | undefined;
  readonly newer: Position | undefined;
}

/** The position of a cursor that `pageQuery` has checked; undefined without one. */
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

/** The body of a page, as `pageOf` declares it. */
export function pageBody<Item>({ items, older }: Page<Item>): { items: Item[]; next_cursor: string | null } {
  return { items, next_cursor: older === undefined ? null : encodeCursor(older) };
}

/** The `Link` header of a page: its neighbours under the same path, limit and filters. Nothing if it has none. */
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
