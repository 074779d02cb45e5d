/**
 * Imports many users from the rows of a file: all or none.
 *
 *     rows ──> rules of registration ──> staged ──> duplicate? taken? ──> inserted
 *                       │                                │
 *                       └──────── errors by line ────────┴──> refused: the transaction is rolled back
 *
 * Every row is checked before any is inserted, so that one response lists all errors. If a user registers concurrently with
 * a name of the file, the insert fails and the job is retried; the retry reports the name as taken.
 *
 * The new users have no password: they set one with a password reset, which proves that the address is theirs.
 */

import type { Sql } from '../../db/sql.ts';
import { TaskRejection } from '../../jobs/task.ts';
import { newUser } from '../identity/users/users.ts';
import { createStage, findClashes, insertStaged, type StagedUser, stageUsers } from './import-store.ts';

/** A row of the file with the line where it starts: its fields by column, or the error of the row. */
export type ImportRow = { readonly line: number } & (
  | { readonly values: Readonly<Record<string, string>> }
  | { readonly error: string }
);

/** An error of a row. */
export interface RowError {
  readonly line: number;
  readonly reason: string;
}

export interface ImportOptions {
  /** The hash to store for users without a password. */
  readonly passwordHash: string;
  /** Cancels the import when it aborts. */
  readonly signal: AbortSignal;
  /** Called with the number of inserted rows and the number of all rows. */
  readonly onInserted: (inserted: number, all: number) => void;
}

/** A row of an import, under the rules of registration; the password is set later. */
const importedUser = newUser.omit({ password: true });

/** The columns of the file. */
export const importColumns = Object.keys(importedUser.shape);

/** How many row errors are reported; the others are only counted. */
export const maxRowErrors = 100;

const batchSize = 500;

/**
 * Inserts the users of all rows in the transaction `tx`. Returns their number. Throws a TaskRejection with the first row
 * errors and their number in its details (`{ rows: [{ line, reason }], total }`), or the reason of the aborted signal.
 */
export async function insertUsers(
  tx: Sql,
  rows: AsyncIterable<ImportRow>,
  { passwordHash, signal, onInserted }: ImportOptions,
): Promise<number> {
  await createStage(tx);
  const { staged, errors, errorCount } = await stage(tx, rows, signal);
  const clashes = await findClashes(tx, maxRowErrors);
  if (errorCount + clashes.total > 0) {
    throw importError([...errors, ...clashes.rows], errorCount + clashes.total);
  }
  let inserted = 0;
  for (let after = 0; ; ) {
    signal.throwIfAborted();
    const { count, last } = await insertStaged(tx, { after, limit: batchSize, passwordHash });
    if (last === null) return inserted;
    after = last;
    inserted += count;
    onInserted(inserted, staged);
  }
}

/** Stages the valid rows, and collects the errors of the others. */
async function stage(tx: Sql, rows: AsyncIterable<ImportRow>, signal: AbortSignal) {
  const errors: RowError[] = [];
  let errorCount = 0;
  let staged = 0;
  let batch: StagedUser[] = [];
  const flush = async () => {
    signal.throwIfAborted();
    await stageUsers(tx, batch);
    staged += batch.length;
    batch = [];
  };
  for await (const row of rows) {
    const checked = check(row);
    if ('reason' in checked) {
      errorCount += 1;
      if (errors.length < maxRowErrors) errors.push(checked);
    } else {
      batch.push(checked);
      if (batch.length === batchSize) await flush();
    }
  }
  await flush();
  return { staged, errors, errorCount };
}

function check(row: ImportRow): StagedUser | RowError {
  const { line } = row;
  if ('error' in row) return { line, reason: row.error };
  const result = importedUser.safeParse(row.values);
  if (result.success) return { line, ...result.data };
  const reasons = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  return { line, reason: reasons.join(' ') };
}

function importError(errors: readonly RowError[], total: number): TaskRejection {
  const rows = errors.toSorted((a, b) => a.line - b.line).slice(0, maxRowErrors);
  const which = total === 1 ? 'One row of the file is' : `${total} rows of the file are`;
  return new TaskRejection(`${which} invalid, so no user was imported: correct the file and send it again.`, {
    rows,
    total,
  });
}
