import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Scope } from '../src/auth/principal.ts';
import {
  createRetentionRules,
  createTasks,
  dailyCounts,
  describedScopes,
  events,
  features,
  schedules,
  tags,
  taskDefinitions,
} from '../src/declarations.ts';
import type * as front from '../src/features.ts';
import { compileSchedules } from '../src/jobs/schedule/schedule.ts';
import type { coreEvents, EventName } from '../src/observability/events.ts';
import { openHttpClient } from '../src/program/parts/open-http-client.ts';
import { loadSettings } from '../src/settings/load.ts';
import { captureLog } from './helpers/captured-log.ts';
import { mustConnect, mustOpenTestDatabase } from './helpers/test-database.ts';
import { testSecret } from './helpers/test-secret.ts';

const { settings } = loadSettings({
  env: { APP_ENVIRONMENT: 'test', SECURITY_JWT_SECRET: testSecret },
  envFile: null,
});

type Front = (typeof front)[keyof typeof front];
type Listed<Key extends 'events' | 'scopes'> = Front extends infer Each
  ? Each extends { readonly [Name in Key]: readonly (infer Item)[] }
    ? Item
    : never
  : never;

describe('the features', () => {
  it('features list every event and scope that they add to the closed types', () => {
    // These do not compile if a front file adds a name to the type, and leaves it out of its feature.
    const events: Record<Exclude<EventName, (typeof coreEvents)[number] | Listed<'events'>>, never> = {};
    const scopes: Record<Exclude<Scope, Listed<'scopes'>['name']>, never> = {};
    assert.deepEqual([events, scopes], [{}, {}]);
  });

  it('features are named like their folders and have one line each in src/features.ts', () => {
    const list = readFileSync(join(import.meta.dirname, '../src/features.ts'), 'utf8');
    const lines = list.split('\n').filter((line) => line.startsWith('export'));
    assert.deepEqual(
      lines,
      features.map(({ name }) => `export { ${name} } from './features/${name}/feature.ts';`),
    );
  });

  const names: Readonly<Record<string, readonly string[]>> = {
    events,
    tags: tags.map(({ name }) => name),
    scopes: describedScopes.map(({ name }) => name),
    tasks: taskDefinitions.map(({ name }) => name),
    schedules: schedules.map(({ name }) => name),
    'daily counts': dailyCounts.map(({ name }) => name),
  };
  for (const [kind, list] of Object.entries(names)) {
    it(`features declare no two ${kind} of the same name`, () => {
      assert.deepEqual([...new Set(list)], list);
    });
  }

  it('features name events in the form noun.verb, and scopes in the form noun:verb', () => {
    for (const event of events) assert.match(event, /^[a-z]+(?:[._][a-z]+)+$/);
    for (const { name } of describedScopes) assert.match(name, /^[a-z_]+:[a-z_]+$/);
  });

  it('features make each task from its own definition', (t) => {
    const tasks = createTasks({
      ...{ settings, database: mustConnect(t, {}), mailer: null },
      httpClient: openHttpClient({ settings, log: captureLog().log }),
    });
    assert.deepEqual(
      tasks.map(({ definition }) => definition),
      taskDefinitions,
    );
  });

  it('features schedule only tasks that the program has, at valid times', () => {
    for (const { task } of compileSchedules(schedules)) assert.ok(taskDefinitions.includes(task), task.name);
  });

  it('give each daily count a label that fits into the mail', () => {
    for (const { label } of dailyCounts) assert.ok(label.length <= 15, label);
  });
});

it('expired idempotency keys and finished jobs are deleted by the rules of the program, and others are kept', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  for (const age of ['60 days', '0 days']) {
    const born = sql`now() - ${age}::interval`;
    const ended = sql`now() - ${age}::interval + interval '1 day'`;
    const hash = sql`sha256(${age}::text::bytea)`;
    await sql`
      insert into idempotency_keys (scope, key, fingerprint, attempt, state, created_at, expires_at)
      values ('anonymous', ${hash}, ${hash}, gen_random_uuid(), 'running', ${born}, ${ended})`;
    await sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms, finished_at)
      values ('noop', 'default', 'cancelled', 0, '{}', 1, 1, ${ended})`;
  }
  const rules = createRetentionRules({ database, settings });
  for (const wanted of ['idempotency keys', 'jobs']) {
    const rule = rules.find(({ name }) => name === wanted);
    assert.equal(await rule?.deleteBatch(10), 1, wanted);
    assert.equal(await rule?.deleteBatch(10), 0, wanted);
  }
});
