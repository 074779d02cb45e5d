import { opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../../errors.ts';

/**
 * Deletes at most `limit` files of the folder that are older than `days`. Returns the number of deleted files. Several
 * processes can call it concurrently. Files of the last day are always kept: they may still be arriving, or wait for
 * their task.
 */
export async function deleteOldUploads(
  { folder, days }: { readonly folder: string; readonly days: number },
  limit: number,
): Promise<number> {
  const before = Date.now() - Math.max(1, days) * dayMs;
  let deleted = 0;
  for await (const path of filesIn(folder)) {
    if (deleted === limit) break;
    const modified = await unlessMissing(stat(path).then(({ mtimeMs }) => mtimeMs));
    if (modified === undefined || modified >= before) continue;
    await rm(path, { force: true });
    deleted += 1;
  }
  return deleted;
}

const dayMs = 86_400_000;

/** Yields the files of a folder; none if it does not exist. */
async function* filesIn(folder: string): AsyncGenerator<string> {
  const opened = await unlessMissing(opendir(folder));
  if (opened === undefined) return;
  for await (const entry of opened) if (entry.isFile()) yield join(folder, entry.name);
}

/** Resolves with undefined if the file was deleted meanwhile. */
async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
