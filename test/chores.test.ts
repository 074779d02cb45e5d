import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createChores } from '../src/chores.ts';
import { mustOpenTestDatabase } from './helpers/test-database.ts';

it('what has been over for long is deleted by its chore, and what is not is left', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  await sql`
    insert into users (username, email, password_hash) values ('ada', 'ada@example.org', 'none')`;
  for (const age of ['60 days', '0 days']) {
    const born = sql`now() - ${age}::interval`;
    const ended = sql`now() - ${age}::interval + interval '1 day'`;
    const hash = sql`sha256(${age}::text::bytea)`;
    await sql`
      insert into sessions
        (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
      select gen_random_uuid(), id, 'body', '192.0.2.1', '', ${hash}, ${born}, ${born}, ${ended}, ${ended} from users`;
    await sql`
      insert into one_time_tokens (token_hash, user_id, purpose, email, created_at, expires_at)
      select ${hash}, id, 'password_reset', email, ${born}, ${ended} from users`;
    await sql`
      insert into api_keys (user_id, name, prefix, hash, scopes, created_at, expires_at)
      select id, 'build', 'sak_Abcd', ${hash}, '{posts:write}', ${born}, ${ended} from users`;
    await sql`
      insert into login_attempts (account, address, attempts, quiet_at)
      values (${hash}, '192.0.2.1', 1, ${ended})`;
    await sql`
      insert into idempotency_keys (scope, key, fingerprint, attempt, state, created_at, expires_at)
      values ('anonymous', ${hash}, ${hash}, gen_random_uuid(), 'running', ${born}, ${ended})`;
  }

  for (const { name, deleteBatch } of createChores(database)) {
    assert.equal(await deleteBatch(10), 1, name);
    assert.equal(await deleteBatch(10), 0, name);
  }
});
