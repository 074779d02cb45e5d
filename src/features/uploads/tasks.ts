import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { unusableHash } from '../../auth/password.ts';
import { systemErrorCode } from '../../errors.ts';
import { defineTask, implementTask, type Task, type TaskContext, TaskRejection } from '../../jobs/task.ts';
import { type CsvRow, readCsv } from './csv-rows.ts';
import { importColumns, insertUsers } from './user-import.ts';

export const importUsers = defineTask({
  name: 'import_users',
  payload: z.strictObject({
    file: z.uuid().meta({ description: 'The name of the file in the folder of uploads.' }),
  }),
  maxAttempts: 5,
  timeoutMs: 1_800_000,
});

export interface ImportUsersOptions {
  /** The folder with the uploaded files. */
  readonly folder: string;
}

/** The share of the progress for reading the file; the rest is for inserting the users. */
const readingShare = 0.7;

/**
 * Imports the users of an uploaded file, and removes the file after the commit. Every failure keeps the file for the next
 * attempt or a manual retry. So does a rejection, because it is recorded only after it was thrown: if that does not happen,
 * the next attempt must find the same errors instead of a missing file.
 */
export function createImportUsersTask({ folder }: ImportUsersOptions): Task {
  return implementTask(importUsers, async ({ file }, ctx) => {
    const path = join(folder, file);
    const size = await sizeOf(path);
    const onInserted = (inserted: number, all: number) =>
      ctx.progress(
        readingShare + (1 - readingShare) * (inserted / all),
        `Inserted ${inserted} of ${all} users`,
      );
    const result = await ctx.tx(async (tx) => ({
      imported: await insertUsers(tx, withProgress(readCsv(path, importColumns), size, ctx), {
        passwordHash: unusableHash(),
        signal: ctx.signal,
        onInserted,
      }),
    }));
    ctx.log.info('users.imported', { imported: result.imported });
    await rm(path, { force: true });
    return result;
  });
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new TaskRejection(
      'The file does not exist: it was removed, or this machine does not share the uploads folder (APP_DATA_DIR) with the one that received it.',
    );
  }
}

async function* withProgress(
  rows: AsyncIterable<CsvRow>,
  size: number,
  ctx: TaskContext,
): AsyncGenerator<CsvRow> {
  for await (const row of rows) {
    ctx.progress(readingShare * Math.min(1, row.bytes / size), `Read up to line ${row.line}`);
    yield row;
  }
}
