/**
 * Writes a file that a client uploads to disk. Nothing that the client claims about the file is trusted: the server chooses the
 * name, only the user of the server may read the file, and the content is checked while it arrives. The file is either complete
 * and synced to disk, or removed.
 */

import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { AppError, systemErrorCode } from '../../errors.ts';

/** Checks a file while it arrives. Both methods throw an AppError, such as `unsupported_media_type`, to reject it. */
export interface ContentCheck {
  write(chunk: Uint8Array): void;
  /** Called after the last chunk. */
  end(): void;
}

export interface FileStore {
  /** The folder of the files; it is created if missing. */
  readonly folder: string;
  /** Creates the check of a file; by default every content is accepted. */
  readonly createCheck?: () => ContentCheck;
}

/** The declaration of a route that accepts a form with a file. */
export interface Upload extends FileStore {
  /** The field whose part is the file. */
  readonly field: string;
}

/** A file that has arrived completely. */
export class UploadedFile {
  /** The file name in the folder: a UUID. */
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
 * Returns the schema of the form field that contains the file: bytes for the client, an UploadedFile for the handler. The
 * maximum size is only for the document; `maxBody` of the route enforces it.
 */
export const uploadedFile = (maxBytes: number) =>
  z
    .unknown()
    .meta({ type: 'string', format: 'binary', maxLength: maxBytes })
    .pipe(z.instanceof(UploadedFile, { error: 'Send the file in this field.' }));

/**
 * Writes a file and resolves when it is synced to disk. Rejects with AppError `storage_full`, with the error of the check or of
 * the content, or with the error of the system.
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
    // The folder contains the name and is synced separately.
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

/** Returns whether the disk is full or the quota of the user is exhausted. */
function isFull(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function storageFull(cause: unknown): AppError {
  return new AppError(
    'storage_full',
    'The server has no space for this file at the moment: try again later, or send a smaller one.',
    { cause },
  );
}
