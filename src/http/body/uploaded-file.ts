/**
 * A file that a client sends, on its way to disk. Nothing of what the client says about it is believed: it stands under
 * a name of ours, readable by this user alone, and its content is looked at while it comes. Either it is there whole,
 * written through to the disk, or it is not there: whatever goes wrong, what was written is removed.
 */

import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { AppError } from '../../errors.ts';

/** Looks at a file while it arrives. Both throw an AppError, such as `unsupported_media_type`, for what is not taken. */
export interface ContentCheck {
  write(chunk: Uint8Array): void;
  /** The file is whole. */
  end(): void;
}

export interface FileStore {
  /** Where the files go; made when it is missing. */
  readonly folder: string;
  /** What a file must be; by default it may be anything. */
  readonly createCheck?: () => ContentCheck;
}

/** What a route declares that accepts a form with a file. */
export interface Upload extends FileStore {
  /** The field whose part is the file. */
  readonly field: string;
}

/** A file that has arrived whole. */
export class UploadedFile {
  /** Its name in the folder: a UUID. */
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;

  constructor(id: string, path: string, bytes: number, sha256: string) {
    this.id = id;
    this.path = path;
    this.bytes = bytes;
    this.sha256 = sha256;
  }
}

/**
 * The field of a form that holds the file: bytes for the client, an UploadedFile for the handler. The largest size is for
 * the document; what holds it is the `maxBody` of the route.
 */
export const uploadedFile = (maxBytes: number) =>
  z
    .unknown()
    .meta({ type: 'string', format: 'binary', maxLength: maxBytes })
    .pipe(z.instanceof(UploadedFile, { error: 'Send the file in this field.' }));

/**
 * Writes a file and resolves when the disk has it. Rejects with an AppError `storage_full`, with what the check or the
 * content itself throws, or with the error of the system.
 */
export async function storeFile(
  content: AsyncIterable<Uint8Array>,
  { folder, createCheck }: FileStore,
): Promise<UploadedFile> {
  const id = randomUUID();
  const path = join(folder, id);
  const check = createCheck?.();
  const hash = createHash('sha256');
  let bytes = 0;
  async function* inspected() {
    for await (const chunk of content) {
      check?.write(chunk);
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
    check?.end();
  }

  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeDurably(path, inspected());
    // The name is in the folder, which is written through by itself.
    await syncFolder(folder);
    return new UploadedFile(id, path, bytes, hash.digest('hex'));
  } catch (error) {
    await rm(path, { force: true });
    throw isFull(error) ? storageFull(error) : error;
  }
}

async function writeDurably(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await writeFile(file, content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** No space, or none left for this user. */
function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

function storageFull(cause: unknown): AppError {
  return new AppError(
    'storage_full',
    'The server has no room for this file at the moment: try again later, or send a smaller one.',
    { cause },
  );
}
