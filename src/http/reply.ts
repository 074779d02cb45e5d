/**
 * The replies that a handler may return. A plain value is a 200. Every other reply is created by one of these functions, so
 * that its status is part of its type and the compiler checks it against the `responses` of the route.
 */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../errors.ts';

/** A body to send: text and bytes with their length, a stream chunk by chunk, or nothing. */
export type Payload = string | Uint8Array | Readable | undefined;

/** A serialised reply, with its content type and the header fields of the handler. */
export interface FinishedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Payload;
}

export type Content<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'raw'; readonly payload: string | Uint8Array | Readable; readonly contentType: string }
  | { readonly kind: 'none' };

/** A reply with its status in the type. The response schema of the route serialises `Value`. */
export class Reply<Status extends number, Value> {
  readonly status: Status;
  readonly content: Content<Value>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: Status, content: Content<Value>, headers: Readonly<Record<string, string>> = {}) {
    this.status = status;
    this.content = content;
    this.headers = headers;
  }
}

/** 200 with a value and additional headers, such as `etag` or `link`. */
export function ok<Value>(value: Value, headers?: Readonly<Record<string, string>>): Reply<200, Value> {
  return new Reply(200, { kind: 'value', value }, headers);
}

/** 201 with the new resource and its location (RFC 9110, section 15.3.2). */
export function created<Value>(
  value: Value,
  location: string,
  headers?: Readonly<Record<string, string>>,
): Reply<201, Value> {
  return new Reply(201, { kind: 'value', value }, { location, ...headers });
}

/** 202: the request is accepted but not yet carried out; `location` shows its progress (RFC 9110, section 15.3.3). */
export function accepted<Value>(value: Value, location: string): Reply<202, Value> {
  return new Reply(202, { kind: 'value', value }, { location });
}

/** Any other status with a value: `reply(503, report)`. */
export function reply<const Status extends number, Value>(
  status: Status,
  value: Value,
): Reply<Status, Value> {
  return new Reply(status, { kind: 'value', value });
}

/** 204: done, without a body. */
export function noContent(headers?: Readonly<Record<string, string>>): Reply<204, undefined> {
  return new Reply(204, { kind: 'none' }, headers);
}

/** 200 with bytes or text that are sent as they are, without a schema. */
export function raw(
  payload: string | Uint8Array,
  contentType: string,
  headers?: Readonly<Record<string, string>>,
): Reply<200, undefined> {
  return new Reply(200, { kind: 'raw', payload, contentType }, headers);
}

/** 200 with a stream, sent as it is produced. The stream is destroyed if the client disconnects. */
export function stream(
  payload: Readable,
  contentType: string,
  headers?: Readonly<Record<string, string>>,
): Reply<200, undefined> {
  return new Reply(200, { kind: 'raw', payload, contentType }, headers);
}

/** 200 with a file of the server. The path must not come from a client. Rejects with AppError `not_found` if it is missing. */
export async function file(
  path: string,
  headers?: Readonly<Record<string, string>>,
): Promise<Reply<200, undefined>> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw new AppError('not_found', 'There is no such file.');
  const contentType = contentTypes[extname(path).toLowerCase()] ?? 'application/octet-stream';
  return new Reply(
    200,
    { kind: 'raw', payload: createReadStream(path), contentType },
    { 'content-length': String(found.size), 'last-modified': found.mtime.toUTCString(), ...headers },
  );
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** Redirects the client. 307 and 308 keep the method and the body; 303 changes the method to GET. */
export function redirect<const Status extends 302 | 303 | 307 | 308>(
  status: Status,
  location: string,
): Reply<Status, undefined> {
  return new Reply(status, { kind: 'none' }, { location });
}
