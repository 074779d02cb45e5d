/**
 * Receives forms with a file: `multipart/form-data` (RFC 7578), parsed while it arrives by the optional package
 * `@fastify/busboy`.
 *
 *     socket ──> limits of the body ──> parser ──> part of the file ──> check, SHA-256 ──> disk
 *        ^        (body.ts)               │                             (uploaded-file.ts)
 *        └── paused while the disk is slow └──> other parts: text, kept in memory, few and short
 *
 * A request of any size uses the memory of a few chunks of about 64 KiB. The first failure aborts everything: the client
 * disconnects or is too slow, the body is too large or not a form, the content is rejected, the disk is full, or the deadline
 * of the request passes. Then reading stops, the file is removed, and only then the error is reported.
 *
 * Only the field name decides which part is the file; file names, media types and charsets of parts are ignored. The parser
 * drops what exceeds 8 KiB in the header of a part, which would truncate a name, so much shorter names are already rejected.
 */

import { rm } from 'node:fs/promises';
import type { BusboyFileStream, BusboyInstance } from '@fastify/busboy';
import { AppError, jsonPointer, needsPackage } from '../../errors.ts';
import type { Context } from '../context.ts';
import { parseMediaType } from '../headers/media-type.ts';
import type { BodyLimits } from '../route-declaration.ts';
import { invalidField } from '../validate.ts';
import { assertAcceptableBody, streamBody, type TakeChunk } from './body.ts';
import { storeFile, type Upload, UploadedFile } from './uploaded-file.ts';

/** The values of a form by field name, without a prototype; a repeated name is an array. */
export type Form = Record<string, FormValue | FormValue[]>;

type FormValue = string | UploadedFile;

/** Without the file. */
const maxFields = 20;
/** Including parts that are ignored. */
const maxParts = 30;
const maxFieldBytes = 10_000;
const maxPartHeaderBytes = 8_192;
/** In characters, for field names and file names; far below the limit of the part header that contains them. */
const maxNameLength = 1_000;

/**
 * Receives a form. The file is then on disk and belongs to the caller. Rejects with an AppError: those of body.ts and of
 * `storeFile`, `unsupported_media_type`, `malformed_body`, `validation_failed` for a field that is too long, and
 * `uploads_disabled` if the package is not installed.
 */
export async function receiveForm(ctx: Context, upload: Upload, limits: BodyLimits): Promise<Form> {
  assertAcceptableBody(ctx, limits);
  const parser = await createParser(ctx, upload);
  const form: Form = Object.create(null);
  let stream: BusboyFileStream | undefined;
  let storing: Promise<UploadedFile> | undefined;

  const whole = new Promise<void>((resolve) => parser.on('finish', resolve));
  const failed = new Promise<never>((_resolve, reject) => {
    const rejectForm = (detail: string) => reject(new AppError('malformed_body', detail));
    if (ctx.abortSource.aborted) reject(ctx.abortSource.reason);
    else ctx.abortSource.addEventListener('abort', () => reject(ctx.abortSource.reason));
    const rejectLongName = () =>
      rejectForm(`Give each part of the form a name of at most ${maxNameLength} characters.`);
    parser.on('file', (name, file, fileName: string | undefined) => {
      stream = file;
      // The parser also emits errors that come after the file, when the file is no longer read.
      file.on('error', () => {});
      if (fileName !== undefined && fileName.length > maxNameLength) return rejectLongName();
      storing = storeFile(file, upload);
      storing.then((stored) => add(form, name, stored), reject);
    });
    parser.on('field', (name: string | undefined, value, _nameCut, cut) => {
      if (name === undefined) rejectForm('A part of the form has no name: give each one a name.');
      else if (name.length > maxNameLength) rejectLongName();
      else if (cut) reject(invalidField(jsonPointer([name]), `Use at most ${maxFieldBytes} bytes.`));
      else add(form, name, value);
    });
    parser.on('filesLimit', () => rejectForm(`The form has more than one "${upload.field}": send one file.`));
    parser.on('fieldsLimit', () => rejectForm(`The form has more than ${maxFields} fields beside its file.`));
    parser.on('partsLimit', () => rejectForm(`The form has more than ${maxParts} parts.`));
    parser.on('error', () => rejectForm('The form is not valid multipart/form-data, or is incomplete.'));
  });
  // It may reject before anything awaits it.
  failed.catch(() => {});

  const take: TakeChunk = (chunk) =>
    parser.write(chunk) ? undefined : new Promise((resolve) => parser.once('drain', resolve));
  try {
    await streamBody(ctx, take, { limits, failed });
    parser.end();
    await Promise.race([whole, failed]);
    await storing;
    return form;
  } catch (error) {
    stream?.destroy();
    const stored = await storing?.catch(() => undefined);
    if (stored !== undefined) await rm(stored.path, { force: true });
    throw error;
  }
}

/** Removes the file of a form that is not used. */
export async function discardForm(form: Form): Promise<void> {
  for (const value of Object.values(form).flat()) {
    if (value instanceof UploadedFile) await rm(value.path, { force: true });
  }
}

function add(form: Form, name: string, value: FormValue): void {
  const present = form[name];
  form[name] = present === undefined ? value : [present, value].flat();
}

async function createParser({ request }: Context, { field }: Upload): Promise<BusboyInstance> {
  const type = request.headers['content-type'] ?? '';
  if (parseMediaType(type)?.type !== 'multipart/form-data') {
    throw new AppError('unsupported_media_type', 'Send the body as multipart/form-data.');
  }
  const boundary = readBoundary(type);
  if (boundary === undefined) throw badBoundary();
  const { Busboy } = await loadPackage();
  try {
    return new Busboy({
      // The header is already parsed, so the package must not find a different boundary in it.
      headers: { 'content-type': `multipart/form-data; boundary="${boundary}"` },
      isPartAFile: (name) => name === field,
      // Only the length of the file name matters, and it includes the folders.
      preservePath: true,
      limits: {
        files: 1,
        fields: maxFields,
        parts: maxParts,
        fieldSize: maxFieldBytes,
        headerSize: maxPartHeaderBytes,
      },
    });
  } catch (cause) {
    throw badBoundary(cause);
  }
}

/** A parameter of a Content-Type with the semicolon before it (RFC 9110, section 5.6.6); a semicolon alone is allowed. */
const parameter = /[ \t]*;[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+)))?/y;

/** 1 to 70 characters; the last one is not a space (RFC 2046, section 5.1.1). */
const boundaryForm = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/** Returns the boundary of a Content-Type. Undefined if there is none, more than one, or an invalid one. */
function readBoundary(contentType: string): string | undefined {
  const found: string[] = [];
  parameter.lastIndex = contentType.search(/[ \t]*;/);
  while (parameter.lastIndex >= 0 && parameter.lastIndex < contentType.length) {
    const [, name, quoted, plain] = parameter.exec(contentType) ?? [undefined];
    if (parameter.lastIndex === 0) return undefined;
    if (name?.toLowerCase() === 'boundary') found.push(quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  const [boundary = '', ...more] = found;
  return more.length === 0 && boundaryForm.test(boundary) ? boundary : undefined;
}

function badBoundary(cause?: unknown): AppError {
  return new AppError(
    'malformed_body',
    'The Content-Type of the body needs one boundary of 1 to 70 characters (RFC 2046, section 5.1.1).',
    { cause },
  );
}

async function loadPackage() {
  try {
    return await import('@fastify/busboy');
  } catch (cause) {
    const detail = `Receiving an upload ${needsPackage('@fastify/busboy', cause)} on the server.`;
    throw new AppError('uploads_disabled', detail, { cause });
  }
}
