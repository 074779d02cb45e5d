/**
 * Responds to input that never became a request: the parser rejected it, or it took too long. There is no response object then,
 * only the socket, so this file writes the bytes: a problem like every other, with the fields that RFC 9110 requires. Then the
 * connection is closed, because after a framing error the following bytes cannot be trusted (RFC 9112, section 9.3).
 */

import { type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../../errors.ts';
import { problemContentType, renderProblem, statusOf } from '../problem.ts';
import { plainAddress } from './addresses.ts';
import { maxTargetBytes } from './message-error.ts';

/** Describes input that never became a request, or a request whose body was malformed. */
export interface MalformedReport {
  /** The error code of Node: `HPE_…`, `ERR_HTTP_REQUEST_TIMEOUT`, `ECONNRESET`. */
  readonly reason: string;
  /** The status of the response; undefined if none could be sent. */
  readonly status: number | undefined;
  /** The peer of the socket, which may be a proxy: without a request there is no header that names the client. */
  readonly clientAddress: string;
  /** Whether it belongs to a request in the pipeline, which is logged and counted there. */
  readonly inPipeline: boolean;
}

export interface MalformedInput {
  readonly error: NodeJS.ErrnoException & { rawPacket?: Buffer; bytesParsed?: number };
  readonly socket: Duplex;
  /** The response that is being made on this connection, if any. */
  readonly pending: ServerResponse | undefined;
  /** Returns the CORS fields for a page of this origin; undefined if it may not read the response. */
  readonly fieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined;
  readonly report: (report: MalformedReport) => void;
}

/** Responds to a parser error or a timeout and closes the connection. Later calls for the connection have no effect. */
export function replyToMalformed(input: MalformedInput): void {
  const { error, socket, pending, report } = input;
  const reason = error.code ?? 'unknown';
  if (socket.destroyed || reason === 'ECONNRESET' || reason === 'EPIPE') {
    socket.destroy();
    return;
  }
  // The last response is written; the rest of the input is discarded.
  if (socket.writableEnded) return;
  if (reason === 'HPE_CLOSED_CONNECTION') {
    // The client sent more after `Connection: close`. It must still get the responses to its earlier requests.
    if (pending === undefined) socket.destroy();
    return;
  }
  if (pending?.req.complete) {
    // The malformed input follows a complete request, whose response comes first.
    socket.pause();
    pending.once('close', () => replyToMalformed({ ...input, pending: undefined }));
    return;
  }
  if (pending?.headersSent) {
    // The response has started; the client would read a second one as part of its body.
    report({ reason, status: undefined, clientAddress: addressOf(socket), inPipeline: true });
    pending.once('finish', () => socket.destroy());
    pending.end();
    return;
  }
  const clientAddress = addressOf(socket);
  const origin = originOf(input);
  const fields = { vary: 'Origin', ...(origin === undefined ? undefined : input.fieldsFor(origin)) };
  const status = writeProblem(socket, errorFor(error), fields, mayBeHead(input));
  report({ reason, status, clientAddress, inPipeline: pending !== undefined });
}

/**
 * Returns whether the message may be a HEAD request, whose response must have no body (RFC 9110, section 9.3.2). The method is
 * that of the request in the pipeline, or it is in the rejected packet, if the message starts there.
 */
function mayBeHead({ error, socket, pending }: MalformedInput): boolean {
  if (pending !== undefined) return pending.req.method === 'HEAD';
  const received = socket instanceof Socket ? socket.bytesRead : undefined;
  const packet = error.rawPacket;
  if (packet === undefined) return received !== 0;
  const text = packet.toString('latin1', 0, error.bytesParsed ?? packet.length);
  // The packet is all that was received, and it contains no HEAD request.
  if (received === packet.length && !/HEAD\s/.test(text)) return false;
  const end = text.lastIndexOf('\r\n\r\n');
  const message = text.slice(end < 0 ? 0 : end + 4).trimStart();
  return /^HEAD\s/.test(message) || !/^[A-Z-]+ \S/i.test(message);
}

/** Returns the origin of the page that sent the message, if the rejected packet shows it. */
function originOf({ error, pending }: MalformedInput): string | undefined {
  if (pending !== undefined) return pending.req.headers.origin;
  const [head = ''] = error.rawPacket?.toString('latin1').split('\r\n\r\n', 1) ?? [];
  const [origin, ...more] = head.matchAll(/^origin:[ \t]*([!-~]+)[ \t]*\r?$/gim);
  return more.length === 0 ? origin?.[1] : undefined;
}

function addressOf(socket: Duplex): string {
  return plainAddress(socket instanceof Socket ? (socket.remoteAddress ?? '') : '');
}

function errorFor(error: MalformedInput['error']): AppError {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('request_timeout', 'The request did not arrive in time.');
    case 'HPE_HEADER_OVERFLOW':
      return isTargetTooLong(error.rawPacket)
        ? new AppError('uri_too_long', 'The request target is too long.')
        : new AppError('headers_too_large', 'The header fields are too large.');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new AppError('body_too_large', 'The chunk extensions of the body are too large.');
    case 'HPE_INVALID_METHOD':
      if (/^[A-Z]+ /i.test(start(error.rawPacket))) {
        return new AppError('method_not_implemented', 'This server does not implement this method.');
      }
      break;
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      if (/ HTTP\/(?!1\.[01])\d/.test(start(error.rawPacket))) {
        return new AppError('http_version_not_supported', 'This server supports HTTP/1.1 only.');
      }
      break;
  }
  return new AppError('bad_request', 'The request is not valid HTTP/1.1.');
}

function start(packet: Buffer | undefined): string {
  return packet?.toString('latin1', 0, 1024) ?? '';
}

/** Returns whether the request target is too long, and not only the header section: the packet shows the request line. */
function isTargetTooLong(packet: Buffer | undefined): boolean {
  if (packet === undefined || !/^[A-Z]+ /.test(start(packet))) return false;
  const lineEnd = packet.indexOf(0x0a);
  return lineEnd < 0 || lineEnd > maxTargetBytes;
}

function writeProblem(
  socket: Duplex,
  error: AppError,
  fields: Readonly<Record<string, string>>,
  withoutBody: boolean,
): number {
  const status = statusOf(error);
  const body = withoutBody ? '' : renderProblem(error, {});
  socket.write(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `Date: ${new Date().toUTCString()}`,
      'Connection: close',
      'Cache-Control: no-store',
      'X-Content-Type-Options: nosniff',
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
      ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
      ...(withoutBody ? [] : [`Content-Type: ${problemContentType}`]),
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
  closeSoon(socket);
  return status;
}

const lingerMs = 1000;

/**
 * Closes a connection after its last response. Input is still read and discarded for a moment, so that a reset does not destroy
 * the response; then the socket is destroyed.
 */
export function closeSoon(socket: Duplex): void {
  socket.on('error', () => {});
  socket.end();
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}
