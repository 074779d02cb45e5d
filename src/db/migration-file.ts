/**
 * A migration as a file: `NNNN_verb_noun.sql`, numbered without gaps, with a part that goes up and one that goes back.
 *
 *     -- Why this is needed.
 *
 *     -- migrate: up
 *     create table …;
 *
 *     -- migrate: down
 *     drop table …;
 *
 * With a line `-- migrate: no-transaction` its statements run one by one outside of a transaction, for
 * `create index concurrently`.
 */

import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../errors.ts';
import { type Statement, splitStatements } from './sql-statements.ts';

export interface Migration {
  readonly version: number;
  /** The file's name: `0001_create_users.sql`. */
  readonly name: string;
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
  readonly transactional: boolean;
  /** SHA-256 of the file with line ends as on Unix, in hexadecimal. */
  readonly checksum: string;
}

/** Where the project's migrations are, seen from `src/db` and from `dist/db`. */
export const defaultDirectory = join(import.meta.dirname, '..', '..', 'sql');

const fileName = /^(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*\.sql$/;

/** Reads a folder of migrations, in their order. Throws a StartError that names the file and what is wrong with it. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const migrations = await Promise.all(names.map((name) => readMigration(directory, name)));
  migrations.forEach(({ version, name }, index) => {
    const before = migrations[index - 1];
    if (before?.version === version) {
      throw new StartError(
        `Two migrations have the same number: ${before.name} and ${name}; renumber one of them.`,
      );
    }
    if (version !== index + 1) {
      throw new StartError(
        `The migration ${name} should have the number ${pad(index + 1)}: numbers have no gaps.`,
      );
    }
  });
  return migrations;
}

/** Writes the file of a new migration, with the next number. Returns its path. Throws a StartError for a bad name. */
export async function newMigration(directory: string, name: string): Promise<string> {
  const words = name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');
  const last = (await readMigrations(directory)).at(-1)?.version ?? 0;
  const file = `${pad(last + 1)}_${words}.sql`;
  if (!fileName.test(file)) {
    throw new StartError(`"${name}" is no name for a migration: take words such as add_avatar_to_users.`);
  }
  const path = join(directory, file);
  await writeFile(path, '-- Why this is needed.\n\n-- migrate: up\n\n-- migrate: down\n', { flag: 'wx' });
  return path;
}

async function readMigration(directory: string, name: string): Promise<Migration> {
  const version = fileName.exec(name)?.[1];
  if (version === undefined) {
    throw new StartError(`The file ${name} in ${directory} is not named like 0001_create_users.sql.`);
  }
  const text = (await readFile(join(directory, name), 'utf8')).replaceAll('\r\n', '\n');
  const lines = text.split('\n');
  const [upAt, downAt] = [lineOf(lines, 'up', name), lineOf(lines, 'down', name)];
  if (downAt < upAt) throw new StartError(`The migration ${name} has its down part before its up part.`);
  return {
    version: Number(version),
    name,
    up: statementsAt(lines.slice(0, downAt), upAt),
    down: statementsAt(lines, downAt),
    transactional: !lines.some((line) => marks(line, 'no-transaction')),
    checksum: createHash('sha256').update(text).digest('hex'),
  };
}

function marks(line: string, what: string): boolean {
  return new RegExp(`^--\\s*migrate:\\s*${what}\\s*$`, 'i').test(line);
}

function lineOf(lines: readonly string[], part: 'up' | 'down', name: string): number {
  const found = lines.flatMap((line, index) => (marks(line, part) ? [index] : []));
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new StartError(
      `The migration ${name} needs exactly one line \`-- migrate: ${part}\`; it has ${found.length}.`,
    );
  }
  return only;
}

/** The statements below a line, with their lines counted in the file. */
function statementsAt(lines: readonly string[], markAt: number): Statement[] {
  const below = lines.slice(markAt + 1).join('\n');
  return splitStatements(below).map(({ text, line }) => ({ text, line: line + markAt + 1 }));
}

function pad(version: number): string {
  return String(version).padStart(4, '0');
}
