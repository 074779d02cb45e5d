/**
 * A migration is a numbered SQL file such as `0003_add_avatar.sql`: a comment that gives the reason, and two parts.
 *
 *     -- Why this change is made.
 *     -- migrate: no-transaction      (only for statements that cannot run in one: create index concurrently)
 *     -- migrate: up
 *     alter table users add column avatar text;
 *     -- migrate: down
 *     alter table users drop column avatar;
 *
 * There are three series: numbers from 0001 belong to the program itself, from 1001 to what a project builds with it
 * (`npm run new`), and from 9001 to the example features. So each can grow, and the examples can go, without a collision.
 * A series has no gaps, so two branches that both add the next number conflict visibly. An applied file never changes: the
 * checksum of its up part is recorded. An empty down part means that the migration cannot be reverted.
 */

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../../errors.ts';
import { projectRoot } from '../../project-root.ts';
import { type Statement, splitStatements } from './split-statements.ts';

export interface Migration {
  readonly version: number;
  /** The name of the file without `.sql`. */
  readonly name: string;
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
  readonly inTransaction: boolean;
  /** SHA-256 of the up part, in hexadecimal. */
  readonly checksum: string;
}

/** The folder of the project's migrations. */
export const migrationDirectory = join(projectRoot, 'sql');

const fileName = /^(\d{4})_[a-z][a-z0-9]*(?:_[a-z0-9]+)+\.sql$/;

/** A number divided by this is its series. The first number of a series is one more than a multiple of it. */
const seriesSize = 1000;
const projectSeries = 1;
const series: ReadonlySet<number> = new Set([0, projectSeries, 9]);

/** Returns the series of a migration: the thousands of its number. */
export const seriesOf = (version: number): number => Math.floor(version / seriesSize);

/** Returns the number of a migration from its name. */
export const versionOf = (name: string): number => Number(name.slice(0, 4));

/** Returns the next number for a migration of the project. */
export function nextProjectVersion(names: readonly string[]): number {
  const versions = names.map(versionOf).filter((version) => seriesOf(version) === projectSeries);
  return Math.max(projectSeries * seriesSize, ...versions) + 1;
}

/**
 * Returns the names of the migrations in a folder, in order. Throws a StartError if the numbers of a series are not
 * consecutive.
 */
export async function listMigrations(directory: string): Promise<string[]> {
  const files = (
    await readdir(directory).catch((cause) => throwFileError(`The folder ${directory} cannot be read`, cause))
  )
    .filter((file) => file.endsWith('.sql'))
    .sort();
  let last = 0;
  for (const file of files) {
    const version = Number(fileName.exec(file)?.[1]);
    if (Number.isNaN(version)) {
      throw new StartError(`${join(directory, file)} is not named like 0001_verb_noun.sql: rename it.`);
    }
    const own = seriesOf(version);
    if (!series.has(own)) {
      throw new StartError(
        `${join(directory, file)} is in no series: the migrations of a project start at 1001.`,
      );
    }
    const expected = own === seriesOf(last) ? last + 1 : own * seriesSize + 1;
    if (version !== expected) {
      throw new StartError(
        version < expected
          ? `Two migrations in ${directory} have the number ${formatVersion(version)}: give ${file} the next free one.`
          : `The migration ${formatVersion(expected)} is missing in ${directory}: the next file is ${file}.`,
      );
    }
    last = version;
  }
  return files.map((file) => file.slice(0, -'.sql'.length));
}

/** Reads all migrations of a folder in order. Throws a StartError that names the file and what is wrong with it. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const names = await listMigrations(directory);
  return Promise.all(
    names.map(async (name) => {
      const source = await readFile(join(directory, `${name}.sql`), 'utf8');
      return parseMigration(name, source);
    }),
  );
}

const marker = /^--[ \t]*migrate:[ \t]*(.*?)[ \t]*$/gm;

/** Parses the text of one migration. */
export function parseMigration(name: string, source: string): Migration {
  const text = source.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  const markers = Array.from(text.matchAll(marker), (match) => ({
    word: match[1],
    at: match.index,
    text: match[0],
  }));
  const words = markers.map(({ word }) => word).join(', ');
  if (!/^(?:no-transaction, )?up, down$/.test(words)) {
    throw new StartError(
      `${name}.sql must have the lines "-- migrate: up" and "-- migrate: down" in this order, optionally after "-- migrate: no-transaction"; it has: ${words || 'none'}.`,
    );
  }
  const up = text.indexOf('\n', markers.at(-2)?.at);
  const down = markers.at(-1)?.at ?? text.length;
  const migration = {
    version: Number.parseInt(name, 10),
    name,
    up: statementsOf(text, up, down),
    down: statementsOf(text, down, text.length),
    inTransaction: markers.length === 2,
    checksum: createHash('sha256').update(text.slice(up, down).trim()).digest('hex'),
  };
  if (!/^--[ \t]*(?!migrate:)\S/.test(text)) {
    throw new StartError(`${name}.sql must begin with a comment that gives its reason: add one.`);
  }
  if (migration.up.length === 0)
    throw new StartError(`${name}.sql has no statement in its up part: add one.`);
  if (migration.inTransaction) assertNoTransactionControl(migration);
  assertNoClientCopy(migration);
  return migration;
}

/** Returns the statements between two offsets of the file, with their lines in the file. */
function statementsOf(text: string, start: number, end: number): Statement[] {
  const before = text.slice(0, start).split('\n').length - 1;
  return splitStatements(text.slice(start, end)).map((each) => ({ ...each, line: each.line + before }));
}

/** A `commit` in the middle would keep the first half when the second half fails. */
function assertNoTransactionControl({ name, up, down }: Migration): void {
  const control = /^(?:begin|commit|end|rollback|abort|start\s+transaction|prepare\s+transaction)\b/i;
  const found = [...up, ...down].find(({ text }) => control.test(text));
  if (found === undefined) return;
  throw new StartError(
    `${name}.sql, line ${found.line}: each migration already runs in its own transaction: remove "${found.text}".`,
  );
}

/** PostgreSQL would wait for rows from a client, or send rows to it. A migration does neither. */
function assertNoClientCopy({ name, up, down }: Migration): void {
  const copy = /^copy\b[^;]*\b(?:from\s+stdin|to\s+stdout)\b/is;
  const found = [...up, ...down].find(({ text }) => copy.test(text));
  if (found === undefined) return;
  throw new StartError(
    `${name}.sql, line ${found.line}: COPY from STDIN or to STDOUT needs a client that sends or receives the rows, which a migration does not have: use INSERT instead.`,
  );
}

/** Formats `3` as `0003`. */
export function formatVersion(version: number): string {
  return String(version).padStart(4, '0');
}

function throwFileError(what: string, cause: NodeJS.ErrnoException): never {
  throw new StartError(`${what} (${cause.code}): check that it exists and that this user may use it.`, {
    cause,
  });
}
