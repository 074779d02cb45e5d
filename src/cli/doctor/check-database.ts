/** Checks the database against the settings: whether it is reachable, suitable, current, and large enough. */

import { pendingMigrations } from '../../db/migrations/migrate.ts';
import type { Sql } from '../../db/sql.ts';
import { findUnsuitability } from '../../db/suitability.ts';
import { AppError, reasonOf } from '../../errors.ts';
import { describePending, openProbe } from '../../program/parts/database-check.ts';
import type { Settings } from '../../settings/load.ts';
import { commandLog } from '../database-target.ts';
import { createFindings, type Finding, type Findings } from './finding.ts';

const closeSeconds = 1;
const oldestSupported = 13;
/** The last days of updates of the major versions of PostgreSQL (https://www.postgresql.org/support/versioning/). */
const endsOfSupport: Readonly<Record<number, string>> = {
  13: '2025-11-13',
  14: '2026-11-12',
  15: '2027-11-11',
  16: '2028-11-09',
  17: '2029-11-08',
  18: '2030-11-14',
};
const advisedSkewMs = 1_000;
const maxSkewMs = 30_000;

interface ServerFacts {
  readonly version: number;
  readonly connections: number;
  readonly roleLimit: number;
  readonly databaseLimit: number;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly autovacuum: string;
  /** The version of the collation with which the database was created; null before PostgreSQL 15. */
  readonly collation: string | null;
  readonly isSuperuser: boolean;
}

/** Connects once and checks everything. The embedded database belongs to the program, and needs no check. */
export async function checkDatabaseOf(
  settings: Settings,
  nodes: number,
  today: string,
): Promise<readonly Finding[]> {
  const found = createFindings('database');
  const { databaseKind, databaseUrl } = settings.application;
  if (databaseKind === 'none') found.fine('No database is configured.');
  if (databaseKind === 'embedded') found.fine('The embedded database is started and checked by the program.');
  if (databaseKind === 'none' || databaseKind === 'embedded') return found.list;
  const probe = openProbe(databaseUrl, commandLog);
  try {
    await probe.ping(5_000);
    await checkServer(probe.sql, settings, nodes, today, found);
  } catch (error) {
    const reason = error instanceof AppError ? reasonOf(error.cause ?? error) : reasonOf(error);
    found.fault(`The database of APP_DATABASE_URL cannot be used: ${reason}.`);
  } finally {
    await probe.close(closeSeconds);
  }
  return found.list;
}

async function checkServer(
  sql: Sql,
  settings: Settings,
  nodes: number,
  today: string,
  found: Findings,
): Promise<void> {
  const unsuitability = await findUnsuitability(sql);
  if (unsuitability !== undefined) found.fault(unsuitability.sentence);
  const pending = await pendingMigrations(sql);
  if (pending.length > 0) found.fault(describePending(pending));
  await checkClock(sql, found);
  const facts = await readFacts(sql);
  if (facts === undefined) return;
  checkVersion(facts.version, today, found);
  checkConnections(facts, settings, nodes, found);
  if (facts.fsync === 'off' || facts.fullPageWrites === 'off') {
    found.advise(
      'fsync or full_page_writes of the database is off, so a crash of its machine can destroy all data: turn both on.',
    );
  }
  if (facts.autovacuum === 'off') {
    found.advise(
      'autovacuum of the database is off, so tables of jobs and sessions grow without end: turn it on.',
    );
  }
  await checkCollation(sql, facts, found);
  if (facts.isSuperuser) {
    found.advise(
      'The program connects as a superuser, so a mistake in a query can change everything: use a role that owns only the database.',
    );
  }
}

async function readFacts(sql: Sql): Promise<ServerFacts | undefined> {
  const [facts] = await sql<ServerFacts[]>`
    select current_setting('server_version_num')::int / 10000 as version,
      current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) as connections,
      rolconnlimit as "roleLimit", datconnlimit as "databaseLimit", rolsuper as "isSuperuser",
      current_setting('fsync') as fsync, current_setting('full_page_writes') as "fullPageWrites",
      current_setting('autovacuum') as autovacuum,
      to_jsonb(d) ->> 'datcollversion' as collation
    from pg_database d, pg_roles r where datname = current_database() and rolname = current_user`;
  return facts;
}

/** Compares the collation of the database with the one that the system has now. The column and the function exist since version 15. */
async function checkCollation(sql: Sql, { collation }: ServerFacts, found: Findings): Promise<void> {
  if (collation === null) return;
  const [now] = await sql<{ version: string | null }[]>`
    select pg_database_collation_actual_version(oid) as version from pg_database where datname = current_database()`;
  const version = now?.version ?? collation;
  if (version === collation) return;
  found.advise(
    `The collation of the database has changed from version ${collation} to ${version}, so indexes of texts can miss rows: run "reindex database" and "alter database … refresh collation version".`,
  );
}

function checkVersion(version: number, today: string, found: Findings): void {
  const end = endsOfSupport[version];
  if (version < oldestSupported) {
    found.fault(`PostgreSQL ${version} is too old: use version ${oldestSupported} or newer.`);
  } else if (end !== undefined && end < today) {
    found.advise(`PostgreSQL ${version} has had no security updates since ${end}: upgrade it.`);
  } else {
    found.fine(
      `PostgreSQL ${version} answers${end === undefined ? '' : `, and has security updates until ${end}`}.`,
    );
  }
}

/** Compares what all processes of all nodes open at most with what the server, the role and the database allow. */
function checkConnections(facts: ServerFacts, settings: Settings, nodes: number, found: Findings): void {
  const { server, application, tasks } = settings;
  const ofServer = server.workers * (application.databasePoolSize + 1);
  const ofJobs = tasks.enabled ? 5 + 2 * tasks.threads + 2 : 0;
  const needed = nodes * (ofServer + ofJobs);
  const limits = [facts.connections, facts.roleLimit, facts.databaseLimit].filter((limit) => limit >= 0);
  const allowed = Math.min(...limits);
  const sum = `${nodes} × (${server.workers} × (APP_DATABASE_POOL_SIZE + 1)${ofJobs === 0 ? '' : ` + ${ofJobs} for jobs`}) = ${needed}`;
  if (needed > allowed) {
    found.fault(
      `The processes open up to ${needed} connections (${sum}), and the database allows ${allowed}: raise max_connections (or the limit of the role or database), lower APP_DATABASE_POOL_SIZE or APP_WORKERS, or use a pooler.`,
    );
  } else {
    found.fine(
      `The processes open up to ${needed} connections (${sum}), and the database allows ${allowed}.`,
    );
  }
}

/** Compares the clocks: the middle of the query is when the server read its clock, give or take half of its duration. */
async function checkClock(sql: Sql, found: Findings): Promise<void> {
  const sentAt = Date.now();
  const [row] = await sql<
    { now: number }[]
  >`select extract(epoch from clock_timestamp())::float8 * 1000 as now`;
  const receivedAt = Date.now();
  const skew = (row?.now ?? sentAt) - (sentAt + receivedAt) / 2;
  const certain = Math.abs(skew) - (receivedAt - sentAt) / 2;
  if (certain <= advisedSkewMs) {
    found.fine('The clocks of this machine and of the database agree.');
    return;
  }
  const text = `The clock of the database is ${(Math.abs(skew) / 1000).toFixed(1)} seconds ${skew > 0 ? 'ahead of' : 'behind'} that of this machine, so tokens, schedules and expiry times are off by that: synchronise both with NTP.`;
  if (certain > maxSkewMs) found.fault(text);
  else found.advise(text);
}
