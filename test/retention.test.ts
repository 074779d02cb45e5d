import assert from 'node:assert/strict';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { uploadsFolder } from '../src/features/uploads/uploads.ts';
import { createRetentionRules } from '../src/retention.ts';
import { loadSettings } from '../src/settings/load.ts';
import { mustMakeFolder } from './helpers/program.ts';
import { mustOpenTestDatabase } from './helpers/test-database.ts';
import { testSecret } from './helpers/test-secret.ts';

it('each retention rule deletes expired rows and files, and keeps current ones', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  await sql`
    insert into users (username, email, password_hash) values ('ada', 'ada@example.org', 'none')`;
  const data = await mustMakeFolder(t);
  const folder = uploadsFolder(data);
  await mkdir(folder);
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
    await sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms, finished_at)
      values ('noop', 'default', 'cancelled', 0, '{}', 1, 1, ${ended})`;
  }

  for (const days of [1, 31]) {
    const file = join(folder, String(days));
    await writeFile(file, '');
    await utimes(file, new Date(), new Date(Date.now() - days * 86_400_000));
  }

  const { settings } = loadSettings({
    env: { APP_ENVIRONMENT: 'test', SECURITY_JWT_SECRET: testSecret, APP_DATA_DIR: data },
    envFile: null,
  });
  for (const { name, deleteBatch } of createRetentionRules(database, settings)) {
    assert.equal(await deleteBatch(10), 1, name);
    assert.equal(await deleteBatch(10), 0, name);
  }
});
