import { randomUUID } from 'node:crypto';
import type { RefreshTokens } from '../../../auth/refresh-token.ts';
import type { Sql } from '../../../db/sql.ts';
import type { Client, GrantedSession } from './grant.ts';
import type { Transport } from './schema.ts';
import { insertSession } from './store.ts';

export interface OpenSessionParts {
  readonly refreshTokens: RefreshTokens;
  readonly idleMs: number;
  readonly maxMs: number;
}

/** Inserts a session with its first refresh token, in the caller's transaction. `at` is in milliseconds since 1970. */
export async function openSession(
  tx: Sql,
  {
    userId,
    transport,
    client,
    at,
  }: { readonly userId: number; readonly transport: Transport; readonly client: Client; readonly at: number },
  { refreshTokens, idleMs, maxMs }: OpenSessionParts,
): Promise<GrantedSession> {
  const token = refreshTokens.issue(randomUUID());
  const expiresAt = new Date(at + Math.min(idleMs, maxMs));
  await insertSession(tx, {
    id: token.sessionId,
    userId,
    transport,
    address: client.address.slice(0, 64),
    userAgent: client.userAgent?.slice(0, 256) ?? '',
    tokenHash: token.hash,
    createdAt: new Date(at),
    expiresAt,
    endsAt: new Date(at + maxMs),
  });
  return { sessionId: token.sessionId, userId, refreshToken: token.text, expiresAt };
}
