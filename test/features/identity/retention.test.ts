import assert from 'node:assert/strict';
import { it } from 'node:test';
import { identity } from '../../../src/features/identity/feature.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';
import { testSecret } from '../../helpers/test-secret.ts';

it('each retention rule of the identity features deletes expired rows, and keeps current ones', async (t) => {
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
      select id, 'build', 'sak_Abcd', ${hash}, '{users:read}', ${born}, ${ended} from users`;
    await sql`
      insert into login_attempts (account, address, attempts, quiet_at)
      values (${hash}, '192.0.2.1', 1, ${ended})`;
  }
  const { settings } = loadSettings({
    env: { APP_ENVIRONMENT: 'test', SECURITY_JWT_SECRET: testSecret },
    envFile: null,
  });
  for (const { name, deleteBatch } of identity.retentionRules({ database, settings })) {
    assert.equal(await deleteBatch(10), 1, name);
    assert.equal(await deleteBatch(10), 0, name);
  }
});
