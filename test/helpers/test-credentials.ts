import { randomBytes, randomUUID } from 'node:crypto';
import { createApiKey } from '../../src/auth/api-key.ts';
import { createJwt } from '../../src/auth/jwt/jwt.ts';
import type { Role, Scope } from '../../src/auth/principal.ts';
import type { Sql } from '../../src/db/sql.ts';
import { scopes as allScopes } from '../../src/declarations.ts';
import { noteHeaders } from './secret-watch.ts';
import { testSecret } from './test-secret.ts';

const jwt = createJwt({
  algorithm: 'HS256',
  secrets: [testSecret],
  issuer: 'strata',
  audience: 'strata',
  leewaySeconds: 5,
});

/** Inserts a user without a password and returns its id. */
export async function mustInsertUser(sql: Sql, role: Role = 'user'): Promise<number> {
  const name = `u_${randomBytes(6).toString('hex')}`;
  const [user] = await sql<{ id: number }[]>`
    insert into users (username, email, password_hash, role)
    values (${name}, ${`${name}@example.org`}, '', ${role}) returning id`;
  if (user === undefined) throw new Error(`${name} was not inserted.`);
  return user.id;
}

/** Inserts a session and returns the headers that its client sends, without a login or a password hash. */
export async function mustOpenSession(sql: Sql, userId: number) {
  const sessionId = randomUUID();
  await sql`
    insert into sessions
      (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
    values (${sessionId}, ${userId}, 'body', '', '', ${randomBytes(32)}, now(), now(),
      now() + interval '1 day', now() + interval '1 day')`;
  const token = jwt.sign(
    { subject: String(userId), sessionId, lifetimeSeconds: 600 },
    Math.floor(Date.now() / 1000),
  );
  const headers = { authorization: `Bearer ${token}` };
  noteHeaders(headers);
  return { sessionId, headers };
}

/** Inserts an API key and returns the headers that its client sends. */
export async function mustInsertApiKey(sql: Sql, userId: number, scopes: readonly Scope[] = allScopes) {
  const { text, prefix, hash } = createApiKey();
  const [key] = await sql<{ id: number }[]>`
    insert into api_keys (user_id, name, prefix, hash, scopes, expires_at)
    values (${userId}, 'A program', ${prefix}, ${hash}, ${[...scopes]}, now() + interval '1 day') returning id`;
  if (key === undefined) throw new Error('The API key was not inserted.');
  const headers = { 'x-api-key': text };
  noteHeaders(headers);
  return { keyId: key.id, headers };
}
