/**
 * Forms with a file: `multipart/form-data` (RFC 7578), parsed while it arrives by the optional package
 * `@fastify/busboy`.
 *
 *     socket ──> limits of the body ──> parser ──> the file's part ──> check, SHA-256 ──> disk
 *        ^        (body.ts)               │                            (uploaded-file.ts)
 *        └── paused while the disk is behind ──> other parts: text, kept in memory, few and short
 *
 * A request is in memory with a few pieces of some 64 KiB, whatever its size. Whatever fails first ends all of it: the
 * client is gone or too slow, the body is too large or no form, the content is not taken, the disk is full, the
 * deadline of the request has passed. Then nothing more is read, the file is removed, and only then the error goes out.
 *
 * Which part is the file, its name decides, and nothing else that a client says: file names, media types and charsets
 * of parts are not looked at. A part that has no name of a field is left out, as the RFC leaves it to us. Of the head
 * of a part, what is beyond 8 KiB is dropped, which would cut a name: far shorter ones of fields and files are refused.
 */

import { rm } from 'node:fs/promises';
import type { BusboyFileStream, BusboyInstance } from '@fastify/busboy';
import { AppError, needsPackage } from '../../errors.ts';
import type { Context } from '../context.ts';
import { parseMediaType } from '../headers/media-type.ts';
import type { BodyLimits } from '../route-declaration.ts';
import { invalidField, toPointer } from '../validate.ts';
import { assertAcceptableBody, streamBody, type TakeChunk } from './body.ts';
import { storeFile, type Upload, UploadedFile } from './uploaded-file.ts';

/** A form by the names of its fields, without a prototype; a name that stands twice has an array of both. */
export type Form = Record<string, FormValue | FormValue[]>;

type FormValue = string | UploadedFile;

/** Of a form, beside its file. */
const maxFields = 20;
/** With those that are left out. */
const maxParts = 30;
const maxFieldBytes = 10_000;
const maxPartHeaderBytes = 8_192;
/** In characters, of a field's name and of the name that a file had; far below the head that they stand in. */
const maxNameLength = 1_000;

/**
 * Receives a form; its file is on disk then, and the caller's. Rejects with an AppError: those of a body (body.ts), of
 * storing a file, `unsupported_media_type`, `malformed_body`, `validation_failed` for a field that is too long, and
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
      // The parser tells it of faults behind the file, too, when nobody reads it any more.
      file.on('error', () => {});
      if (fileName !== undefined && fileName.length > maxNameLength) return rejectLongName();
      storing = storeFile(file, upload);
      storing.then((stored) => add(form, name, stored), reject);
    });
    parser.on('field', (name: string | undefined, value, _nameCut, cut) => {
      if (name === undefined) rejectForm('A part of the form has no name: give each one a name.');
      else if (name.length > maxNameLength) rejectLongName();
      else if (cut) reject(invalidField(toPointer([name]), `Use at most ${maxFieldBytes} bytes.`));
      else add(form, name, value);
    });
    parser.on('filesLimit', () => rejectForm(`The form has more than one "${upload.field}": send one file.`));
    parser.on('fieldsLimit', () => rejectForm(`The form has more than ${maxFields} fields beside its file.`));
    parser.on('partsLimit', () => rejectForm(`The form has more than ${maxParts} parts.`));
    parser.on('error', () =>
      rejectForm('The form is not valid multipart/form-data, or breaks off before its end.'),
    );
  });
  // It may fail while nobody waits for it.
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

/** Removes the file of a form that nobody wants. */
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
      // The header of the client has been read here, so that the package cannot read another boundary in it.
      headers: { 'content-type': `multipart/form-data; boundary="${boundary}"` },
      isPartAFile: (name) => name === field,
      // Only how long the name of the file is matters, and so its folders count.
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

/** One parameter of a Content-Type with the semicolon before it (RFC 9110, section 5.6.6); a lone semicolon is allowed. */
const parameter = /[ \t]*;[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+)))?/y;

/** 1 to 70 characters, the last of them no space (RFC 2046, section 5.1.1). */
const boundaryForm = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/** The boundary that a Content-Type declares. Undefined when there is none, more than one, or one that is not valid. */
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
