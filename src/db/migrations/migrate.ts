/**
 * Migrates the schema of the database to the files in `sql/`, and back. The table `schema_migrations` records the
 * applied files with their checksums.
 *
 *     read files ──> lock ──> read table ──> compare ──> for each pending file: begin, record, statements, commit
 *
 * The comparison happens inside the lock, so of ten processes that start at once, one applies and nine find nothing to
 * do. A file runs in one transaction: it is applied completely or not at all. The record is its first statement, and
 * the table's primary key stops a second process even if the lock is lost with its session.
 *
 * Differences between files and table:
 * - applied, and the file has changed since: an error; the change needs a new file
 * - not applied, but a later file of its series is: an error; it came by a merge, and needs the next number
 * - applied, and newer than every file: a newer version was deployed here; the program runs and logs it
 * - applied under this number, but with another name: an error; another program or another branch did it
 *
 * A database without the table is migrated only if `schema-owner.ts` allows it.
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
  seriesOf,
  versionOf,
} from './migration-file.ts';
import { withMigrationLock } from './migration-lock.ts';
import { type Adoption, assertAdoptable, foreignRecordError, hasOwnRecord } from './schema-owner.ts';
import type { Statement } from './split-statements.ts';

export interface MigrateOptions extends Partial<Adoption> {
  /** A direct connection: the lock belongs to a session, which a transaction pooler would not keep. */
  readonly url: string;
  readonly log: Logger;
  /** The folder of the files. Default: that of the project. */
  readonly directory?: string;
  /** How long to wait while another process migrates, in milliseconds. Default: two minutes. */
  readonly lockWaitMs?: number;
}

/** A row of `schema_migrations`. */
interface Applied {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly applied_at: Date;
}

/**
 * Applies pending migrations in order and returns their names. Throws a StartError; earlier migrations remain applied.
 */
export async function migrateUp(options: MigrateOptions): Promise<string[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory);
  const { adopts = 'empty', namedBy = 'APP_DATABASE_URL' } = options;
  return withLockedDatabase(options, async (database) => {
    await assertAdoptable(database.sql, { adopts, namedBy });
    await database.sql`
      create table if not exists schema_migrations (
        version integer primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
      )`;
    const applied = await readApplied(database.sql);
    const pending = findPending(files, applied);
    for (const { name } of withoutFile(applied, files)) {
      options.log.warning('migration.unknown', {
        name,
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

/** Reverts the last migration, or all after number `to`, newest first. Returns their names. Throws a StartError. */
export async function migrateDown(options: MigrateOptions & { readonly to?: number }): Promise<string[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory);
  return withLockedDatabase(options, async (database) => {
    if (!(await hasOwnRecord(database.sql))) return [];
    const applied = await readApplied(database.sql);
    findPending(files, applied);
    const target = options.to ?? (applied.at(-1)?.version ?? 0) - 1;
    const reverted = applied.filter(({ version }) => version > target).reverse();
    // All down parts are checked before the first one runs.
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
  readonly state: 'applied' | 'pending' | 'changed' | 'unknown';
  readonly appliedAt: Date | undefined;
}

/** Returns what is applied, pending, changed after it was applied, or recorded in the database without a file. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationState[]> {
  const files = await readMigrations(options.directory ?? migrationDirectory);
  const applied = await withDatabase(options, ({ sql }) => readApplied(sql));
  const known = files.map(({ name, version, checksum }): MigrationState => {
    const row = applied.find((each) => each.version === version);
    if (row === undefined) return { name, state: 'pending', appliedAt: undefined };
    return { name, state: row.checksum === checksum ? 'applied' : 'changed', appliedAt: row.applied_at };
  });
  const unknown = withoutFile(applied, files);
  return [
    ...known,
    ...unknown.map(
      ({ name, applied_at }): MigrationState => ({ name, state: 'unknown', appliedAt: applied_at }),
    ),
  ];
}

/** Returns the names of the migrations that are not applied. Fast enough for a readiness probe. */
export async function pendingMigrations(sql: Sql, directory = migrationDirectory): Promise<string[]> {
  const names = await listMigrations(directory);
  const applied = new Set((await readApplied(sql)).map(({ version }) => version));
  return names.filter((name) => !applied.has(versionOf(name)));
}

/** Returns the rows whose file is missing: a newer version of the program was deployed here. */
function withoutFile(applied: readonly Applied[], files: readonly Migration[]): Applied[] {
  return applied.filter(({ version }) => files.every((file) => file.version !== version));
}

/** Returns the files to apply. Throws a StartError if files and database contradict each other. */
function findPending(files: readonly Migration[], applied: readonly Applied[]): Migration[] {
  const byVersion = new Map(applied.map((row) => [row.version, row]));
  for (const { version, name, checksum } of files) {
    const row = byVersion.get(version);
    const newest = Math.max(
      0,
      ...applied.map((each) => each.version).filter((each) => seriesOf(each) === seriesOf(version)),
    );
    if (row === undefined && version < newest) {
      throw new StartError(
        `The migration ${name} was never applied, although ${formatVersion(newest)} was: give it the next free number.`,
      );
    }
    if (row !== undefined && row.name !== name) {
      throw new StartError(
        `The database records ${row.name} as migration ${version}, which is ${name} here: it belongs to another program, or a migration was renamed; use another database, or restore the name.`,
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
      // A statement that failed in an earlier run may succeed now without effect: then nothing is recorded.
      await rejectInvalidIndexes(database.sql);
    }
    await record(database.sql);
    return;
  }
  await database.transaction(async (sql) => {
    await record(sql);
    // A statement that waits for a lock blocks all later ones on that table, so it does not wait long.
    await sql`set local lock_timeout = '10s'`;
    for (const statement of statements) await executeStatement(sql, migration, statement);
  });
}

async function executeStatement(sql: Sql, migration: Migration, { text, line }: Statement): Promise<void> {
  try {
    await sql.unsafe(text);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    // The error of PostgreSQL instead of the client's message that was made from it.
    const reported = cause instanceof AppError && cause.cause instanceof Error ? cause.cause : cause;
    const position = 'position' in reported ? Number(reported.position) : 0;
    const detail =
      'detail' in reported && typeof reported.detail === 'string'
        ? ` (${reported.detail.replace(/\.$/, '')})`
        : '';
    const at = line + text.slice(0, Math.max(0, position - 1)).split('\n').length - 1;
    const rest = migration.inTransaction
      ? 'No part of it was applied'
      : 'Earlier statements of the file remain applied, because it runs without a transaction';
    const first = text.replace(/\s+/g, ' ').slice(0, 80);
    throw new StartError(
      `The migration ${migration.name} failed at line ${at}, in "${first}": ${reasonOf(reported)}${detail}. ${rest}.`,
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

/** Returns the rows in order; none if the table does not exist yet. */
async function readApplied(sql: Sql): Promise<Applied[]> {
  try {
    return await sql<
      Applied[]
    >`select version, name, checksum, applied_at from schema_migrations order by version`;
  } catch (error) {
    if (sqlState(error) === '42P01') return [];
    if (sqlState(error) !== '42703') throw error;
    throw foreignRecordError(error);
  }
}

async function withLockedDatabase<T>(
  options: MigrateOptions,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  return withDatabase(options, (database) =>
    withMigrationLock(options.url, options.lockWaitMs ?? 120_000, async () => {
      const unsuitability = await findUnsuitability(database.sql);
      if (unsuitability !== undefined) throw new StartError(unsuitability.sentence);
      return work(database);
    }),
  );
}

/** Opens a connection of its own without a statement timeout: a large table takes as long as it takes. */
async function withDatabase<T>(
  { url, log, namedBy }: MigrateOptions,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = connectDatabase({ url, log, applicationName: 'strata migrations' });
  try {
    await database.ping(10_000);
    return await work(database);
  } catch (error) {
    throw toStartError(error, namedBy);
  } finally {
    await database.close(1);
  }
}

/** Turns errors of PostgreSQL into a StartError, because the operator can fix them. Returns other errors unchanged. */
function toStartError(thrown: unknown, namedBy?: string): unknown {
  // Queries of the session that holds the lock reject with errors of the driver, not with AppErrors.
  const error = toDatabaseError(thrown, false);
  const state = sqlState(error);
  if (error instanceof AppError && isUnavailable(error)) {
    return new StartError(describeUnavailable(error, namedBy), { cause: error });
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
  // Since PostgreSQL 15, only the owner of a database may create tables in its schema "public".
  '42501':
    'give the role of APP_DATABASE_URL the right, for tables of its own by "grant usage, create on schema public to …"',
  '3F000': 'create the schema that its search_path names, or correct the search_path',
  '25006': 'promote it if it is a standby, or reset default_transaction_read_only',
  '55P03': 'another session holds a lock on the table; wait for it, and migrate again',
};
