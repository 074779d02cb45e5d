import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { migrateUp } from '../../../src/db/migrations/migrate.ts';
import { createStage, findClashes, stageUsers } from '../../../src/features/uploads/import-store.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { locales } from '../../helpers/locales.ts';
import { mustConnect, mustCreateDatabase } from '../../helpers/test-database.ts';

describe('the staged users of an import', () => {
  for (const [name, locale] of Object.entries(locales)) {
    it(`staged users clash with existing users and each other in any case, in a database with the locale ${name}`, async (t) => {
      const url = await mustCreateDatabase(t, { empty: true, locale });
      await migrateUp({ url, log: captureLog().log });
      const database = mustConnect(t, { url });
      await database.sql`
        insert into users (username, email, password_hash) values ('ali_i', 'INFO@example.org', '-')`;
      await database.transaction(async (tx) => {
        await createStage(tx);
        await stageUsers(tx, [
          { line: 2, username: 'ALI_I', email: 'a@example.org' },
          { line: 3, username: 'IRIS', email: 'i@example.org' },
          { line: 4, username: 'iris', email: 'I@example.org' },
        ]);
        const { rows } = await findClashes(tx, 10);
        assert.deepEqual(
          rows.map(({ line }) => line),
          [2, 4],
        );
      });
    });
  }
});
