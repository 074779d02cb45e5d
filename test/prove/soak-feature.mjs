/**
 * The feature of the soak proof, in a copy of the sources (add-feature.ts): a page of rows, one row, and a task that counts
 * the rows. The proof creates the table `rows`.
 */

import * as z from 'zod';
import { keysetCondition, keysetOrder, keysetPage } from '../../db/keyset.ts';
import { onlyRow } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import { pageBody, pageLinks, pageOf, pageQuery, positionOf } from '../../http/parameters/pagination.ts';
import { idParameter } from '../../http/parameters/parameters.ts';
import { ok } from '../../http/reply.ts';
import { route } from '../../http/route.ts';
import { defineTask, implementTask } from '../../jobs/task.ts';

const row = z.object({ id: z.int(), body: z.string() });
const definition = defineTask({ name: 'count_rows', payload: z.strictObject({}) });

const create = () =>
  implementTask(definition, (_payload, ctx) =>
    ctx.tx(async (sql) => onlyRow(await sql`select count(*)::integer as rows from rows`)),
  );

const routes = ({ database: { sql } }) => [
  route({
    method: 'GET',
    path: '/rows',
    operationId: 'listProofRows',
    summary: 'List rows',
    tags: [],
    auth: 'none',
    query: pageQuery,
    responses: {
      200: { description: 'A page.', schema: pageOf(row), headers: { Link: 'The neighbouring pages.' } },
    },
    problems: ['database_unavailable'],
    async handler({ query }) {
      const keyset = { limit: query.limit, from: positionOf(query) };
      const page = keysetPage(
        await sql`
          select id, body from rows
          where ${keysetCondition(sql, 'id', keyset)} ${keysetOrder(sql, 'id', keyset)}`,
        keyset,
      );
      return ok(pageBody(page), pageLinks('/api/v1/rows', query, page));
    },
  }),
  route({
    method: 'GET',
    path: '/rows/:id',
    operationId: 'getProofRow',
    summary: 'Read a row',
    tags: [],
    auth: 'none',
    params: z.object({ id: idParameter }),
    responses: { 200: { description: 'The row.', schema: row } },
    problems: ['not_found', 'database_unavailable'],
    async handler({ params }) {
      const [found] = await sql`select id, body from rows where id = ${params.id}`;
      if (found === undefined) throw new AppError('not_found', 'There is no such row.');
      return found;
    },
  }),
];

export const rows = { name: 'rows', tasks: [{ definition, create }], routes };
