/**
 * Migrations: the files of `sql/`, applied once each, in their order, and recorded with their checksum.
 *
 *     read files ── lock ── compare with what is recorded ── apply what is pending, one transaction each ── unlock
 *
 * - Ten starts at once: the advisory lock lets one through; the others look again inside the lock and find nothing to do.
 * - A statement fails: its transaction takes back the whole file, record included; the files before it stay. The error
 *   names file, line and statement. Without a transaction, what ran before the failing statement stays too, and the error
 *   says so.
 * - A file that was changed after it was applied, or is gone, is refused: nobody could say what the database is then.
 * - The database is newer than the program (a newer version has migrated already): that is how deploying without
 *   downtime looks to the old version, so it is only logged.
 *
 * The lock is one of the session, on a connection of its own: run this against PostgreSQL itself, not through a pooler
 * that shares sessions.
 */

import postgres from 'postgres';
import { StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { columnTypes } from './column-types.ts';
import type { Sql } from './intercept.ts';
import { defaultDirectory, type Migration, readMigrations } from './migration-file.ts';
import type { Statement } from './sql-statements.ts';

export interface MigrateOptions {
  readonly url: string;
  readonly log: Logger;
  /** The folder of the files; by default the project's `sql/`. */
  readonly directory?: string;
  /** How long to wait for another process that migrates, in milliseconds. */
  readonly lockTimeoutMs?: number;
}

export interface MigrationState {
  readonly version: number;
  readonly name: string;
  readonly state: 'applied' | 'pending' | 'changed' | 'no file';
  readonly appliedAt: Date | undefined;
}

type Connection = postgres.Sql<{ int8: number }>;

interface Applied {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly applied_at: Date;
}

/** The advisory lock of this program's migrations: the letters "strata" as a number. */
const lockKey = 127_000_737_117_281;

/** Applies what is pending. Returns the names. Throws a StartError for everything that an operator can mend. */
export function migrateUp(options: MigrateOptions): Promise<string[]> {
  return underLock(options, async (sql, migrations) => {
    const applied = await readApplied(sql);
    refuseMismatch(migrations, applied, options.log);
    const pending = migrations.slice(applied.length);
    for (const migration of pending) {
      const startedAt = performance.now();
      const { version, name, checksum } = migration;
      await run(
        sql,
        migration,
        migration.up,
        (tx) => tx`
        insert into schema_migrations (version, name, checksum) values (${version}, ${name}, ${checksum})`,
      );
      options.log.info('migration.applied', { name, duration_ms: Math.round(performance.now() - startedAt) });
    }
    return pending.map(({ name }) => name);
  });
}

/**
 * Takes back the last migration, or all above the version `to`. Returns the names. Throws a StartError.
 */
export function migrateDown(options: MigrateOptions & { readonly to?: number }): Promise<string[]> {
  return underLock(options, async (sql, migrations) => {
    const applied = await readApplied(sql);
    refuseMismatch(migrations, applied, options.log);
    const to = options.to ?? applied.length - 1;
    const reverted = applied.filter(({ version }) => version > to).toReversed();
    for (const { version, name } of reverted) {
      const migration = migrations[version - 1];
      if (migration === undefined) {
        throw new StartError(`The migration ${name} cannot be taken back: its file is not here.`);
      }
      await run(
        sql,
        migration,
        migration.down,
        (tx) => tx`delete from schema_migrations where version = ${version}`,
      );
      options.log.info('migration.reverted', { name });
    }
    return reverted.map(({ name }) => name);
  });
}

/** Every migration, of the files and of the database, with its state. Changes nothing. */
export async function migrationStatus(options: MigrateOptions): Promise<MigrationState[]> {
  const migrations = await readMigrations(options.directory ?? defaultDirectory);
  return withConnection(options, async (sql) => {
    const applied = await readAppliedIfAny(sql);
    const states = migrations.map(({ version, name, checksum }): MigrationState => {
      const record = applied.find((each) => each.version === version);
      if (record === undefined) return { version, name, state: 'pending', appliedAt: undefined };
      const same = record.checksum === checksum && record.name === name;
      return { version, name, state: same ? 'applied' : 'changed', appliedAt: record.applied_at };
    });
    const unknown = applied
      .filter(({ version }) => version > migrations.length)
      .map(
        ({ version, name, applied_at }): MigrationState => ({
          version,
          name,
          state: 'no file',
          appliedAt: applied_at,
        }),
      );
    return [...states, ...unknown];
  });
}

/** The names of the files that the database does not have yet: what readiness asks. */
export async function pendingMigrations(sql: Sql, directory: string = defaultDirectory): Promise<string[]> {
  const migrations = await readMigrations(directory);
  const applied = new Set((await readAppliedIfAny(sql)).map(({ version }) => version));
  return migrations.filter(({ version }) => !applied.has(version)).map(({ name }) => name);
}

async function underLock<T>(
  options: MigrateOptions,
  work: (sql: Connection, migrations: readonly Migration[]) => Promise<T>,
): Promise<T> {
  const migrations = await readMigrations(options.directory ?? defaultDirectory);
  return withConnection(options, async (sql) => {
    const { lockTimeoutMs = 60_000 } = options;
    await sql`select set_config('lock_timeout', ${String(lockTimeoutMs)}, false)`;
    try {
      await sql`select pg_advisory_lock(${lockKey})`;
    } catch (cause) {
      if (!(cause instanceof postgres.PostgresError) || cause.code !== '55P03') throw cause;
      throw new StartError(
        `Another process has been migrating this database for over ${lockTimeoutMs / 1000} seconds; wait for it, or end it.`,
        { cause },
      );
    }
    await sql`select set_config('lock_timeout', '0', false)`;
    await sql`
      create table if not exists schema_migrations (
        version integer primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
      )`;
    // Closing the connection frees the lock.
    return work(sql, migrations);
  });
}

async function withConnection<T>(options: MigrateOptions, work: (sql: Connection) => Promise<T>): Promise<T> {
  const sql = postgres(options.url, {
    max: 1,
    connect_timeout: 10,
    types: columnTypes,
    onnotice: (notice) => options.log.debug('database.notice', { message: notice.message }),
    connection: { application_name: 'strata-migrate' },
  });
  try {
    return await work(sql);
  } catch (error) {
    throw explainConnection(error, options.url);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** A database that does not answer, or does not let us in, is the operator's to mend; its password is not shown. */
function explainConnection(error: unknown, url: string): unknown {
  if (!(error instanceof Error) || error instanceof StartError || !('code' in error)) return error;
  const { host, pathname } = new URL(url);
  const where = `The database ${pathname.slice(1)} at ${host}`;
  const code = String(error.code);
  if (
    /^(ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|ECONNRESET|EAI_AGAIN|CONNECT_TIMEOUT|CONNECTION_CLOSED)$/.test(
      code,
    )
  ) {
    return new StartError(`${where} does not answer (${code}). Start it, or set APP_DATABASE_URL.`, {
      cause: error,
    });
  }
  if (/^(28|3D)/.test(code)) {
    return new StartError(`${where} does not let us in: ${error.message}. Look at APP_DATABASE_URL.`, {
      cause: error,
    });
  }
  return error;
}

function readApplied(sql: Sql): Promise<Applied[]> {
  return sql<Applied[]>`select version, name, checksum, applied_at from schema_migrations order by version`;
}

async function readAppliedIfAny(sql: Sql): Promise<Applied[]> {
  const [table] = await sql<
    { exists: boolean }[]
  >`select to_regclass('schema_migrations') is not null as exists`;
  return table?.exists === true ? readApplied(sql) : [];
}

/** Throws a StartError unless the records are the beginning of the files, or the files the beginning of the records. */
function refuseMismatch(migrations: readonly Migration[], applied: readonly Applied[], log: Logger): void {
  applied.forEach((record, index) => {
    const migration = migrations[index];
    if (migration === undefined) {
      log.warning('migration.unknown', {
        name: record.name,
        advice: 'A newer version of the program applied it.',
      });
    } else if (migration.version !== record.version || migration.name !== record.name) {
      throw new StartError(
        `The database has ${record.name} where the files have ${migration.name}: give the new file the next number.`,
      );
    } else if (migration.checksum !== record.checksum) {
      throw new StartError(
        `The migration ${record.name} was changed after it was applied: restore the file, and write a new one for the change.`,
      );
    }
  });
}

async function run(
  sql: Connection,
  migration: Migration,
  statements: readonly Statement[],
  record: (tx: Sql) => Promise<unknown>,
): Promise<void> {
  const runAll = async (tx: Sql) => {
    for (const [index, statement] of statements.entries()) {
      refuseOwnTransaction(migration, statement);
      try {
        await tx.unsafe(statement.text).simple();
      } catch (cause) {
        throw failure(migration, statement, index, cause);
      }
    }
    await record(tx);
  };
  if (migration.transactional) await sql.begin(runAll);
  else await runAll(sql);
}

/** A COMMIT in the file would end our transaction, and leave half of the file behind when a later statement fails. */
function refuseOwnTransaction({ name }: Migration, { text, line }: Statement): void {
  if (!/^(?:begin|start\s+transaction|commit|end|rollback|abort)\b/i.test(text)) return;
  throw new StartError(
    `The migration ${name} has a transaction of its own at line ${line}; leave it out, each file has one.`,
  );
}

function failure(
  { name, transactional }: Migration,
  { text, line }: Statement,
  index: number,
  cause: unknown,
): StartError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const start = text.replace(/\s+/g, ' ');
  const shown = start.length > 80 ? `${start.slice(0, 80)}…` : start;
  const left = transactional
    ? 'Nothing of the file was applied.'
    : `It runs without a transaction: its first ${index} statements were applied.`;
  return new StartError(`The migration ${name} failed at line ${line}: ${why} (in: ${shown}). ${left}`, {
    cause,
  });
}
