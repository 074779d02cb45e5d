import type { BanDesk, BanReport } from '../../bans/ban-registry.ts';
import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';
import { noContent, ok } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { ban, banPage, banQuery, clientParams, newBan } from './schema.ts';

export interface BanRoutesOptions {
  readonly bans: BanDesk;
  /** Throws an AppError for a request that may not read. */
  readonly assertMayRead: (ctx: Context) => void;
  /** Throws an AppError for a request that may not change. */
  readonly assertMayChange: (ctx: Context) => void;
}

/** The maximum size of a body, in bytes. */
const maxBody = 2_048;

/**
 * Returns the routes with which operators see and change the bans of this node. The management port has no ban list itself, so
 * operators who have banned their own address can lift the ban here.
 */
export function banRoutes({ bans, assertMayRead, assertMayChange }: BanRoutesOptions): Route[] {
  const all = { tags: ['management'], auth: 'own', hidden: true } as const;
  const problems = ['unauthenticated', 'rate_limited'] as const;
  return [
    route({
      ...all,
      method: 'GET',
      path: '/bans',
      operationId: 'listBans',
      summary: 'The banned clients, the newest first',
      query: banQuery,
      responses: { 200: { description: 'A page.', schema: banPage } },
      problems,
      handler({ ctx, query: { limit, before } }) {
        assertMayRead(ctx);
        const page = bans.page(limit, before);
        return ok({ bans: page.bans.map(describe), total: page.total, before: page.before ?? null });
      },
    }),
    route({
      ...all,
      method: 'GET',
      path: '/bans/:client',
      operationId: 'getBan',
      summary: 'The ban of one client',
      params: clientParams,
      responses: { 200: { description: 'The ban.', schema: ban } },
      problems: [...problems, 'not_found'],
      handler({ ctx, params: { client } }) {
        assertMayRead(ctx);
        const found = bans.find(client);
        if (found === undefined) throw notBanned(client);
        return ok(describe(found));
      },
    }),
    route({
      ...all,
      method: 'PUT',
      path: '/bans/:client',
      operationId: 'putBan',
      summary: 'Ban a client by hand, or replace its ban',
      params: clientParams,
      body: newBan,
      maxBody,
      responses: { 200: { description: 'The ban.', schema: ban } },
      problems: [...problems, 'forbidden', 'conflict'],
      handler({ ctx, params: { client }, body: { seconds, reason } }) {
        assertMayChange(ctx);
        const operator = ctx.clientAddress;
        return ok(describe(bans.ban({ client, ms: seconds * 1000, note: reason, operator })));
      },
    }),
    route({
      ...all,
      method: 'DELETE',
      path: '/bans/:client',
      operationId: 'deleteBan',
      summary: 'Lift a ban, and forget the offences of the client',
      params: clientParams,
      responses: { 204: { description: 'Done.' } },
      problems: [...problems, 'forbidden', 'not_found'],
      handler({ ctx, params: { client } }) {
        assertMayChange(ctx);
        if (!bans.lift(client, ctx.clientAddress)) throw notBanned(client);
        return noContent();
      },
    }),
  ];
}

function notBanned(client: string): AppError {
  return new AppError('not_found', `${client} is not banned.`);
}

function describe({ id, client, reason, note, nth, startedAt, endsAt, remainingMs }: BanReport) {
  return {
    id,
    client,
    cause: reason,
    reason: reason === 'manual' ? note : null,
    count: nth,
    started_at: startedAt,
    ends_at: endsAt,
    remaining_seconds: Math.ceil(remainingMs / 1000),
  };
}
