import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { unusableHash } from '../../auth/password.ts';
import { defineTask, implementTask, type Task, type TaskContext, TaskRefusal } from '../../jobs/task.ts';
import { type CsvRow, readCsv } from './csv-rows.ts';
import { importColumns, importUsers as insertAll } from './user-import.ts';

export const importUsers = defineTask({
  name: 'import_users',
  payload: z.strictObject({
    file: z.uuid().meta({ description: 'The name of the file in the folder of uploads.' }),
  }),
  maxAttempts: 5,
  timeoutMs: 1_800_000,
});

export interface ImportUsersOptions {
  /** Where uploads are. */
  readonly folder: string;
}

/** Of the whole, in which the file is read; the rest is inserting. */
const readingShare = 0.7;

/**
 * Imports the users of an uploaded file, and removes the file when they are in the table. Any failure leaves it for the
 * next attempt, or for one by hand. So does a refusal, which is recorded only after this has thrown it: where it never
 * comes to that, the next attempt has to find the same faults, and not that the file is gone.
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
      imported: await insertAll(tx, withProgress(readCsv(path, importColumns), size, ctx), {
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
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    throw new TaskRefusal(
      'The file is not here: it was removed, or this machine does not share the folder of uploads (APP_DATA_DIR) with the one that took it.',
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
