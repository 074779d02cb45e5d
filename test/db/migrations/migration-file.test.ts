import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  listMigrations,
  migrationDirectory,
  nextProjectVersion,
  parseMigration,
  readMigrations,
} from '../../../src/db/migrations/migration-file.ts';
import { StartError } from '../../../src/errors.ts';

const file = (up: string, down = 'select 0;', head = '-- Why.\n') =>
  `${head}-- migrate: up\n${up}\n-- migrate: down\n${down}\n`;

async function mustMakeFolder(t: TestContext, names: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-sql-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of names) await writeFile(join(folder, name), file('select 1;'));
  return folder;
}

describe('a migration file', () => {
  it('a migration file has an up and a down part, whose statements have their lines in the file', () => {
    const migration = parseMigration('0003_add_avatar', file('select 1;\nselect 2;', 'select 3;'));
    assert.equal(migration.version, 3);
    assert.deepEqual(migration.up, [
      { text: 'select 1', line: 3 },
      { text: 'select 2', line: 4 },
    ]);
    assert.deepEqual(migration.down, [{ text: 'select 3', line: 6 }]);
    assert.equal(migration.inTransaction, true);
  });

  it('a migration file can opt out of the transaction', () => {
    const head = '-- Why.\n-- migrate: no-transaction\n';
    assert.equal(parseMigration('0001_a_b', file('select 1', '', head)).inTransaction, false);
  });

  it('the checksum covers the up part only, whatever the line endings', () => {
    const checksum = (source: string) => parseMigration('0001_a_b', source).checksum;
    const original = file('select 1;');
    assert.equal(checksum(original.replaceAll('\n', '\r\n')), checksum(original));
    assert.equal(checksum(file('select 1;', 'select 9;', '-- Better worded.\n')), checksum(original));
    assert.notEqual(checksum(file('select 2;')), checksum(original));
  });

  it('a folder has three series, each without gaps', async (t) => {
    const folder = await mustMakeFolder(t, [
      '1001_add_c.sql',
      '0001_add_a.sql',
      '1002_add_d.sql',
      '0002_add_b.sql',
    ]);
    const names = await listMigrations(folder);
    assert.deepEqual(names, ['0001_add_a', '0002_add_b', '1001_add_c', '1002_add_d']);
    assert.equal(nextProjectVersion(names), 1003);
    assert.equal(nextProjectVersion(['0001_add_a']), 1001);
  });

  const rejected: readonly (readonly [name: string, source: string, sentence: RegExp])[] = [
    ['without markers', '-- Why.\nselect 1;', /it has: none/],
    [
      'with the parts in the wrong order',
      '-- Why.\n-- migrate: down\n-- migrate: up\nselect 1;',
      /in this order/,
    ],
    [
      'with an unknown marker',
      '-- Why.\n-- migrate: sideways\n-- migrate: up\nselect 1\n-- migrate: down',
      /sideways/,
    ],
    ['without a comment that gives the reason', file('select 1', '', ''), /begin with a comment/],
    ['without a statement to apply', file('-- nothing'), /no statement in its up part/],
    [
      'that reads rows from a client',
      file('select 1;\ncopy a (x)\n  from stdin;'),
      /line 4: COPY from STDIN/,
    ],
    [
      'that sends rows to a client',
      file('COPY (select 1) TO STDOUT'),
      /line 3: COPY from STDIN or to STDOUT/,
    ],
    ['that sends a commit itself', file('select 1;\ncommit;'), /line 4: .* remove "commit"/],
  ];
  for (const [name, source, sentence] of rejected) {
    it(`a migration file ${name} is rejected`, () => {
      assert.throws(() => parseMigration('0001_a_b', source), { name: StartError.name, message: sentence });
    });
  }
});

describe('a folder of migrations', () => {
  it('a folder is read in the order of the numbers', async (t) => {
    const folder = await mustMakeFolder(t, ['0002_add_b.sql', '0001_add_a.sql', 'notes.md']);
    assert.deepEqual(await listMigrations(folder), ['0001_add_a', '0002_add_b']);
  });

  const rejected: readonly (readonly [name: string, files: readonly string[], sentence: RegExp])[] = [
    ['a number is missing', ['0001_add_a.sql', '0003_add_c.sql'], /0002 is missing .* 0003_add_c/],
    ['the series of a project starts too late', ['0001_add_a.sql', '1002_add_b.sql'], /1001 is missing/],
    ['a number is in no series', ['0001_add_a.sql', '2001_add_b.sql'], /a project start at 1001/],
    ['a number occurs twice', ['0001_add_a.sql', '0001_add_b.sql'], /number 0001: give 0001_add_b\.sql/],
    ['a name is invalid', ['0001_add_a.sql', '2_add_b.sql'], /not named like 0001_verb_noun/],
  ];
  for (const [name, files, sentence] of rejected) {
    it(`a folder is rejected if ${name}`, async (t) => {
      const folder = await mustMakeFolder(t, files);
      await assert.rejects(listMigrations(folder), { name: StartError.name, message: sentence });
    });
  }

  it('a folder that does not exist is rejected with a sentence', async () => {
    await assert.rejects(listMigrations('/no/such/folder'), { name: StartError.name, message: /ENOENT/ });
  });

  it('every migration of this project can be applied and reverted', async () => {
    for (const { name, down } of await readMigrations(migrationDirectory)) {
      assert.notEqual(down.length, 0, `${name} has no way back`);
    }
  });
});
