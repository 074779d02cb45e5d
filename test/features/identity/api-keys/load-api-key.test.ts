import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createApiKey } from '../../../../src/auth/api-key.ts';
import type { Scope } from '../../../../src/auth/principal.ts';
import { scopes } from '../../../../src/declarations.ts';
import { createApiKeys } from '../../../../src/features/identity/api-keys/api-keys.ts';
import { createLoadApiKey } from '../../../../src/features/identity/api-keys/load-api-key.ts';
import { deleteEndedApiKeys } from '../../../../src/features/identity/api-keys/store.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { mustConnect, mustOpenTestDatabase } from '../../../helpers/test-database.ts';

const noAuthenticator = { forgetApiKey: () => {} };
const live = { requireAuthority: async () => {} };

async function mustPrepare(t: TestContext, role: 'user' | 'admin' = 'user') {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  const captured = captureLog();
  const [user] = await sql<{ id: number }[]>`
    insert into users (username, email, password_hash, role)
    values ('ada', 'ada@example.org', '', ${role}) returning id`;
  const userId = user?.id ?? 0;
  const apiKeys = createApiKeys({ database, authenticator: noAuthenticator, auth: live, log: captured.log });
  const caller = {
    kind: 'session',
    sessionId: 's',
    userId,
    username: 'ada',
    role,
  } as const;
  const loadApiKey = createLoadApiKey({ database, scopes, log: captured.log });
  const make = (scopes: readonly Scope[] = ['tasks:write']) =>
    apiKeys.create(caller, { name: 'Import', scopes: [...scopes], expires_in_days: 1 });
  return { sql, userId, apiKeys, loadApiKey, make, captured };
}

test('a key identifies its user, with its own scopes', async (t) => {
  const { userId, loadApiKey, make } = await mustPrepare(t);
  const { id, key } = await make(['users:read', 'tasks:write']);
  assert.deepEqual(await loadApiKey(key), {
    kind: 'apiKey',
    keyId: id,
    userId,
    username: 'ada',
    role: 'user',
    scopes: new Set(['users:read', 'tasks:write']),
  });
});

test('the key of an admin acts as a plain user', async (t) => {
  const { loadApiKey, make } = await mustPrepare(t, 'admin');
  assert.equal((await loadApiKey((await make()).key))?.role, 'user');
});

test('a text with the wrong form or checksum is rejected without a query', async (t) => {
  const { loadApiKey, make } = await mustPrepare(t);
  const { key } = await make();
  const unreachable = createLoadApiKey({
    database: mustConnect(t, { url: 'postgres://nobody@127.0.0.1:1/none' }),
    scopes,
    log: captureLog().log,
  });
  await assert.rejects(unreachable(key), { code: 'database_unavailable' });
  const mistyped = key.slice(0, 9) + (key.charAt(9) === 'x' ? 'y' : 'x') + key.slice(10);
  for (const text of ['', 'sak_', mistyped, `${key} `]) assert.equal(await unreachable(text), undefined);
  assert.equal(await loadApiKey(mistyped), undefined);
});

test('unknown, expired and revoked keys identify no user', async (t) => {
  const { sql, userId, apiKeys, loadApiKey, make } = await mustPrepare(t);
  assert.equal(await loadApiKey(createApiKey().text), undefined);
  const ended = await make();
  await sql`
    update api_keys set created_at = now() - interval '2 days', expires_at = now() - interval '1 second'
    where id = ${ended.id}`;
  assert.equal(await loadApiKey(ended.key), undefined);
  const revoked = await make();
  await apiKeys.revoke(userId, revoked.id);
  assert.equal(await loadApiKey(revoked.key), undefined);
});

test('a scope that the program no longer declares allows nothing', async (t) => {
  const { sql, loadApiKey, make } = await mustPrepare(t);
  const { id, key } = await make();
  await sql`update api_keys set scopes = array['tasks:write', 'tasks:shred'] where id = ${id}`;
  assert.deepEqual((await loadApiKey(key))?.scopes, new Set(['tasks:write']));
});

test('the last use is recorded at most once per minute', async (t) => {
  const { sql, userId, apiKeys, loadApiKey, make } = await mustPrepare(t);
  const { id, key, last_used_at } = await make();
  assert.equal(last_used_at, null);
  const lastUse = async () => (await apiKeys.list(userId))[0]?.last_used_at?.getTime();
  const recorded = (since: number) => async () => ((await lastUse()) ?? 0) > since;

  await loadApiKey(key);
  await eventually('the first use is on record', recorded(0));
  const first = (await lastUse()) ?? 0;
  await Promise.all([loadApiKey(key), loadApiKey(key)]);
  assert.equal(await lastUse(), first);

  await sql`update api_keys set last_used_at = now() - interval '61 seconds' where id = ${id}`;
  await loadApiKey(key);
  await eventually('the next use is on record', recorded(first - 1));
});

test('a use that cannot be recorded does not reject the request and is logged', async (t) => {
  const { sql, loadApiKey, make, captured } = await mustPrepare(t);
  const { key, id } = await make();
  await sql`alter table api_keys add constraint never_used check (last_used_at is null)`;
  assert.equal((await loadApiKey(key))?.keyId, id);
  await eventually('the log has it', () => captured.of('auth.api_key.use_unrecorded').length === 1);
});

test('keys that expired more than 30 days ago are deleted in batches, and no others', async (t) => {
  const { sql, userId, apiKeys, make } = await mustPrepare(t);
  const keys = [await make(), await make(), await make(), await make()];
  for (const [at, days] of [
    [0, 29],
    [1, 31],
    [2, 40],
  ] as const) {
    await sql`
      update api_keys
      set created_at = now() - interval '100 days', expires_at = now() - make_interval(days => ${days})
      where id = ${keys[at]?.id ?? 0}`;
  }
  assert.equal(await deleteEndedApiKeys(sql, 1), 1);
  assert.equal(await deleteEndedApiKeys(sql, 10), 1);
  assert.equal(await deleteEndedApiKeys(sql, 10), 0);
  const left = (await apiKeys.list(userId)).map(({ id }) => id);
  assert.deepEqual(left, [keys[3]?.id, keys[0]?.id]);
});
