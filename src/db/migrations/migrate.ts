/**
 * Brings the schema of the database to what the files in `sql/` say, and back. Which files were applied stands in the
 * table `schema_migrations`, with the checksum each had.
 *
 *     read files ──> lock ──> read table ──> compare ──> for each pending file: begin, record, statements, commit
 *
 * Comparing happens inside the lock, so of ten that start at once one applies and nine find nothing to do. A file
 * runs in one transaction: it is applied whole or not at all. The record is its first statement, and the table's key
 * stops a second process even if the lock should be lost with its session.
 *
 * What is found, and what follows:
 * - applied, and the file has changed since: refused; a new file must make the change
 * - not applied, though a later one is: refused; it came by a merge, and must get the next number
 * - applied, and newer than every file: a newer version was here; the program runs, and says so in the log
 */

import { AppError, reasonOf, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { connectDatabase, type Database } from '../database.ts';
import { describeUnavailable, isUnavailable, sqlState, toDatabaseError } from '../database-error.ts';
import type { Sql } from '../sql.ts';
import { findUnsuitability } from '../suitability.ts';
import { rejectInvalidIndexes } from './invalid-indexes.ts';
import {
  formatVersion,
  listMigrations,
  type Migration,
  migrationDirectory,
  readMigrations,
} from './migration-file.ts';
import { withMigrationLock } from './migration-lock.ts';
import type { Statement } from './split-statements.ts';

export interface MigrateOptions {
  /** A direct connection: the lock is held by a session, which a pooler between would share out. */
  readonly url: string;
  readonly log: Logger;
  /** The folder of the files; the project's own unless said. */
  readonly directory?: string;
  /** How long to wait while another process migrates, in milliseconds; two minutes unless said. */
  readonly lockWaitMs?: number;
}

/** A row of `schema_migrations`. */
interface Applied {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly applied_at: Date;
}

/** Applies what is pending, in order. Returns the names. Throws a StartError; what was applied before it stays. */
export async function migrateUp(options: MigrateOptions): Promise<string[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory);
  return inLock(options, async (database) => {
    const applied = await readApplied(database.sql);
    const pending = compare(files, applied);
    for (const version of applied.slice(files.length)) {
      options.log.warning('migration.unknown', {
        name: version.name,
        advice: 'A newer version was deployed here.',
      });
    }
    if (pending.length > 0) await rejectInvalidIndexes(database.sql);
    for (const migration of pending) {
      const startedAt = performance.now();
      await execute(database, migration, migration.up, (sql) => recordApplied(sql, migration));
      const durationMs = Math.round(performance.now() - startedAt);
      options.log.info('migration.applied', { name: migration.name, duration_ms: durationMs });
    }
    return pending.map(({ name }) => name);
  });
}

/** Reverts the last migration, or all after number `to`, newest first. Returns the names. Throws a StartError. */
export async function migrateDown(options: MigrateOptions & { readonly to?: number }): Promise<string[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory);
  return inLock(options, async (database) => {
    const applied = await readApplied(database.sql);
    compare(files, applied);
    const target = options.to ?? (applied.at(-1)?.version ?? 0) - 1;
    const reverted = applied.filter(({ version }) => version > target).reverse();
    // Whether the way back exists is known before the first step is taken.
    const steps = reverted.map((row) => findDownMigration(row, files));
    for (const migration of steps) {
      await execute(database, migration, migration.down, (sql) => recordReverted(sql, migration));
      options.log.info('migration.reverted', { name: migration.name });
    }
    return steps.map(({ name }) => name);
  });
}

export interface MigrationState {
  readonly name: string;
  /** `empty` is a pending one whose statements are still to be written. */
  readonly state: 'applied' | 'pending' | 'empty' | 'changed' | 'unknown';
  readonly appliedAt: Date | undefined;
}

/** What is applied, what is pending, what was changed afterwards, and what the database has that no file knows. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationState[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory, { drafts: true });
  const applied = await withDatabase(options, ({ sql }) => readApplied(sql));
  const known = files.map(({ name, version, checksum, up }): MigrationState => {
    const row = applied.find((each) => each.version === version);
    if (row === undefined) return { name, state: up.length > 0 ? 'pending' : 'empty', appliedAt: undefined };
    return { name, state: row.checksum === checksum ? 'applied' : 'changed', appliedAt: row.applied_at };
  });
  const unknown = applied.filter(({ version }) => version > files.length);
  return [
    ...known,
    ...unknown.map(
      ({ name, applied_at }): MigrationState => ({ name, state: 'unknown', appliedAt: applied_at }),
    ),
  ];
}

/** The names of the migrations that are not applied. Cheap enough for a readiness probe. */
export async function pendingMigrations(sql: Sql, directory = migrationDirectory): Promise<string[]> {
  const names = await listMigrations(directory);
  const applied = new Set((await readApplied(sql)).map(({ version }) => version));
  return names.filter((_name, index) => !applied.has(index + 1));
}

/** Which files are to be applied. Throws a StartError if files and database contradict each other. */
function compare(files: readonly Migration[], applied: readonly Applied[]): Migration[] {
  const byVersion = new Map(applied.map((row) => [row.version, row]));
  const newest = Math.max(0, ...byVersion.keys());
  for (const { version, name, checksum } of files) {
    const row = byVersion.get(version);
    if (row === undefined && version < newest) {
      throw new StartError(
        `The migration ${name} was never applied, although ${formatVersion(newest)} was: give it the next free number.`,
      );
    }
    if (row !== undefined && row.checksum !== checksum) {
      throw new StartError(
        `The migration ${name} was changed after it was applied: restore the file, and make the change in a new one.`,
      );
    }
  }
  return files.filter(({ version }) => !byVersion.has(version));
}

function findDownMigration(row: Applied, files: readonly Migration[]): Migration {
  const file = files.find(({ version }) => version === row.version);
  if (file === undefined) {
    throw new StartError(
      `The migration ${row.name} has no file here: revert it with the version that brought it.`,
    );
  }
  if (file.down.length === 0) {
    throw new StartError(`The migration ${file.name} cannot be reverted: its down part is empty.`);
  }
  return file;
}

async function execute(
  database: Database,
  migration: Migration,
  statements: readonly Statement[],
  record: (sql: Sql) => Promise<unknown>,
): Promise<void> {
  if (!migration.inTransaction) {
    for (const statement of statements) {
      await executeStatement(database.sql, migration, statement);
      // What failed before may count as done now: it is not recorded as applied.
      await rejectInvalidIndexes(database.sql);
    }
    await record(database.sql);
    return;
  }
  await database.transaction(async (sql) => {
    await record(sql);
    // A statement that waits for a lock holds up everyone who comes after it, so it does not wait for long.
    await sql`set local lock_timeout = '10s'`;
    for (const statement of statements) await executeStatement(sql, migration, statement);
  });
}

async function executeStatement(sql: Sql, migration: Migration, { text, line }: Statement): Promise<void> {
  try {
    await sql.unsafe(text);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    // What PostgreSQL said, and not the sentence for a client that was made of it.
    const said = cause instanceof AppError && cause.cause instanceof Error ? cause.cause : cause;
    const position = 'position' in said ? Number(said.position) : 0;
    const detail =
      'detail' in said && typeof said.detail === 'string' ? ` (${said.detail.replace(/\.$/, '')})` : '';
    const at = line + text.slice(0, Math.max(0, position - 1)).split('\n').length - 1;
    const rest = migration.inTransaction
      ? 'Nothing of it was applied'
      : 'Statements before it stay, because this file runs without a transaction';
    const first = text.replace(/\s+/g, ' ').slice(0, 80);
    throw new StartError(
      `The migration ${migration.name} failed at line ${at}, in "${first}": ${reasonOf(said)}${detail}. ${rest}.`,
      { cause },
    );
  }
}

function recordApplied(sql: Sql, { version, name, checksum }: Migration): Promise<unknown> {
  return sql`insert into schema_migrations ${sql({ version, name, checksum })}`;
}

function recordReverted(sql: Sql, { version }: Migration): Promise<unknown> {
  return sql`delete from schema_migrations where version = ${version}`;
}

/** The rows in order; none if the table is not there yet. */
async function readApplied(sql: Sql): Promise<Applied[]> {
  try {
    return await sql<
      Applied[]
    >`select version, name, checksum, applied_at from schema_migrations order by version`;
  } catch (error) {
    if (sqlState(error) === '42P01') return [];
    if (sqlState(error) !== '42703') throw error;
    throw new StartError(
      'The table schema_migrations has other columns than this program gives it, so it is of another program: use another database, or another schema (the parameter schema in APP_DATABASE_URL).',
      { cause: error },
    );
  }
}

async function inLock<T>(options: MigrateOptions, work: (database: Database) => Promise<T>): Promise<T> {
  return withDatabase(options, (database) =>
    withMigrationLock(options.url, options.lockWaitMs ?? 120_000, async () => {
      const unsuitability = await findUnsuitability(database.sql);
      if (unsuitability !== undefined) throw new StartError(unsuitability.sentence);
      await database.sql`
        create table if not exists schema_migrations (
          version integer primary key,
          name text not null,
          checksum text not null,
          applied_at timestamptz not null default now()
        )`;
      return work(database);
    }),
  );
}

/** A connection of its own, without a time limit on statements: a large table takes as long as it takes. */
async function withDatabase<T>(
  { url, log }: MigrateOptions,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = connectDatabase({
    url,
    poolSize: 1,
    statementTimeoutMs: 0,
    connectTimeoutSeconds: 10,
    slowQueryMs: Number.POSITIVE_INFINITY,
    echo: false,
    log,
    applicationName: 'strata migrations',
  });
  try {
    await database.ping(10_000);
    return await work(database);
  } catch (error) {
    throw explainRefusal(error);
  } finally {
    await database.close(1);
  }
}

/** What PostgreSQL refuses is for the operator to mend, and a StartError; anything else stays what it is. */
function explainRefusal(thrown: unknown): unknown {
  // The session of the lock rejects with the errors of the driver.
  const error = toDatabaseError(thrown, false);
  const state = sqlState(error);
  if (error instanceof AppError && isUnavailable(error)) {
    return new StartError(describeUnavailable(error), { cause: error });
  }
  if (state === undefined && !(error instanceof AppError)) return thrown;
  const reason = reasonOf(error instanceof AppError ? (error.cause ?? error) : error);
  const advice = state === undefined ? undefined : adviceByState[state];
  return new StartError(
    `The database cannot be migrated (${reason})${advice === undefined ? '.' : `: ${advice}.`}`,
    { cause: error },
  );
}

const adviceByState: Readonly<Record<string, string>> = {
  // Since PostgreSQL 15 only the owner of a database may create tables in its schema "public".
  '42501':
    'give the role of APP_DATABASE_URL the right, for tables of its own by "grant usage, create on schema public to …"',
  '3F000': 'create the schema that its search_path names, or correct the search_path',
  '25006': 'promote it if it is a standby, or reset default_transaction_read_only',
  '55P03': 'another session holds a lock on the table; wait for it, and migrate again',
};
