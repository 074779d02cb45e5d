/**
 * Many users at once, from the rows of a file: all of them or none.
 *
 *     rows ──> the rules of registering ──> staged ──> doubles? taken? ──> inserted
 *                    │                                      │
 *                    └──────── faults, by their lines ──────┴──> refused: the transaction is rolled back
 *
 * Every row is looked at before any is inserted, so that one answer says all that is wrong. Somebody who registers
 * meanwhile under a name of the file makes the last step fail, and the job is tried again; then it is a fault like any
 * other.
 *
 * The new users have no password: with "forgot password" they set one, which shows that the address is theirs.
 */

import type { Sql } from '../../db/sql.ts';
import { TaskRefusal } from '../../jobs/task.ts';
import { newUser } from '../identity/users/users.ts';
import { createStage, findClashes, insertStaged, type StagedUser, stageUsers } from './import-store.ts';

/** A row of the file with the line it begins on: its fields by their columns, or why it has none. */
export type ImportRow = { readonly line: number } & (
  | { readonly values: Readonly<Record<string, string>> }
  | { readonly error: string }
);

/** What is wrong with a row. */
export interface RowError {
  readonly line: number;
  readonly reason: string;
}

export interface ImportOptions {
  /** What the table has for the password that nobody has set. */
  readonly passwordHash: string;
  /** Aborted when the work is to end. */
  readonly signal: AbortSignal;
  /** Told of the rows that are inserted, and of how many they will be. */
  readonly onInserted: (inserted: number, all: number) => void;
}

/** A user in a file of many, under the rules of registering; the password is set later. */
const importedUser = newUser.omit({ password: true });

/** The columns of the file. */
export const importColumns = Object.keys(importedUser.shape);

/** How many faults are reported; the rest are counted. */
export const maxRowErrors = 100;

const batchSize = 500;

/**
 * Inserts the users of all rows in the transaction `tx`, and returns how many they are. Throws a TaskRefusal with the
 * first faults and their number in its details (`{ rows: [{ line, reason }], total }`), and the signal's reason.
 */
export async function importUsers(
  tx: Sql,
  rows: AsyncIterable<ImportRow>,
  { passwordHash, signal, onInserted }: ImportOptions,
): Promise<number> {
  await createStage(tx);
  const { staged, errors, errorCount } = await stage(tx, rows, signal);
  const clashes = await findClashes(tx, maxRowErrors);
  if (errorCount + clashes.total > 0) {
    throw importRefusal([...errors, ...clashes.rows], errorCount + clashes.total);
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

/** Puts the rows that fit into the stage, and keeps the faults of the others. */
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

function importRefusal(errors: readonly RowError[], total: number): TaskRefusal {
  const rows = errors.toSorted((a, b) => a.line - b.line).slice(0, maxRowErrors);
  const which = total === 1 ? 'One row of the file is' : `${total} rows of the file are`;
  return new TaskRefusal(
    `${which} not as users have to be, so none was imported: correct the file and send it again.`,
    { rows, total },
  );
}
