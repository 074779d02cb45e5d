/**
 * Answers for what never became a request: the parser refused it, or it took too long. There is no response object then, only the socket, so the bytes are written here, as a problem like every other and
 * with the fields that RFC 9110 asks of an answer. The connection ends with it: after a framing error nothing
 * that follows can be trusted (RFC 9112, section 9.3).
 */

import { type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../../errors.ts';
import { plainAddress } from '../addresses.ts';
import { describeProblem, problemContentType } from '../problem.ts';
import { maxTargetBytes } from './message-error.ts';

/** What became of a message that never was a request, or of a request whose body broke off. */
export interface MalformedReport {
  /** Node's code for what was wrong: `HPE_…`, `ERR_HTTP_REQUEST_TIMEOUT`, `ECONNRESET`. */
  readonly reason: string;
  /** The status of the answer; undefined when nobody could be answered any more. */
  readonly status: number | undefined;
  /** The address of the socket's peer, which may be a proxy: without a request, no header says whom it speaks for. */
  readonly clientAddress: string;
  /** Whether a request was under way, which the pipeline logs and counts. */
  readonly inPipeline: boolean;
}

export interface MalformedInput {
  readonly error: NodeJS.ErrnoException & { rawPacket?: Buffer; bytesParsed?: number };
  readonly socket: Duplex;
  /** The answer being made on this connection when the error came. */
  readonly pending: ServerResponse | undefined;
  /** The fields by which a page of this origin may read the answer; undefined if it may not. */
  readonly fieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined;
  readonly report: (report: MalformedReport) => void;
}

/** Answers a parser error or a time-out, and ends the connection. Called again, it does nothing more. */
export function replyToMalformed(input: MalformedInput): void {
  const { error, socket, pending, report } = input;
  const reason = error.code ?? 'unknown';
  if (socket.destroyed || reason === 'ECONNRESET' || reason === 'EPIPE') {
    socket.destroy();
    return;
  }
  // The last answer is written; what still arrives is thrown away.
  if (socket.writableEnded) return;
  if (reason === 'HPE_CLOSED_CONNECTION') {
    // A client that sends on after `Connection: close` is owed the answers to what it sent before.
    if (pending === undefined) socket.destroy();
    return;
  }
  if (pending?.req.complete) {
    // What is wrong stands behind a whole request, which is owed its answer first.
    socket.pause();
    pending.once('close', () => replyToMalformed({ ...input, pending: undefined }));
    return;
  }
  if (pending?.headersSent) {
    // The answer is on its way; a second one would be read as its body.
    report({ reason, status: undefined, clientAddress: addressOf(socket), inPipeline: true });
    pending.once('finish', () => socket.destroy());
    pending.end();
    return;
  }
  const clientAddress = addressOf(socket);
  const origin = originOf(input);
  const fields = { vary: 'Origin', ...(origin === undefined ? undefined : input.fieldsFor(origin)) };
  const status = writeProblem(socket, refusalOf(error), fields, mayBeHead(input));
  report({ reason, status, clientAddress, inPipeline: pending !== undefined });
}

/**
 * Whether the message may be a HEAD request, the answer to which must have no body (RFC 9110, section 9.3.2). Its method
 * is known from the request under way, or from the packet that the parser refused, if the message begins in it.
 */
function mayBeHead({ error, socket, pending }: MalformedInput): boolean {
  if (pending !== undefined) return pending.req.method === 'HEAD';
  const received = socket instanceof Socket ? socket.bytesRead : undefined;
  const packet = error.rawPacket;
  if (packet === undefined) return received !== 0;
  const text = packet.toString('latin1', 0, error.bytesParsed ?? packet.length);
  // The packet is all that came: no message in it is a HEAD request.
  if (received === packet.length && !/HEAD\s/.test(text)) return false;
  const end = text.lastIndexOf('\r\n\r\n');
  const message = text.slice(end < 0 ? 0 : end + 4).trimStart();
  return /^HEAD\s/.test(message) || !/^[A-Z-]+ \S/i.test(message);
}

/** The origin of the page that sent the message, where it can be read: in the head of the packet that the parser refused. */
function originOf({ error, pending }: MalformedInput): string | undefined {
  if (pending !== undefined) return pending.req.headers.origin;
  const [head = ''] = error.rawPacket?.toString('latin1').split('\r\n\r\n', 1) ?? [];
  const [origin, ...more] = head.matchAll(/^origin:[ \t]*([!-~]+)[ \t]*\r?$/gim);
  return more.length === 0 ? origin?.[1] : undefined;
}

function addressOf(socket: Duplex): string {
  return plainAddress(socket instanceof Socket ? (socket.remoteAddress ?? '') : '');
}

function refusalOf(error: MalformedInput['error']): AppError {
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
        return new AppError('http_version_not_supported', 'This server speaks HTTP/1.1.');
      }
      break;
  }
  return new AppError('bad_request', 'The request is not valid HTTP/1.1.');
}

function start(packet: Buffer | undefined): string {
  return packet?.toString('latin1', 0, 1024) ?? '';
}

/** Whether the target alone is too long: in the packet where the head became too long, the request line is. */
function isTargetTooLong(packet: Buffer | undefined): boolean {
  if (packet === undefined || !/^[A-Z]+ /.test(start(packet))) return false;
  const lineEnd = packet.indexOf(0x0a);
  return lineEnd < 0 || lineEnd > maxTargetBytes;
}

function writeProblem(
  socket: Duplex,
  refusal: AppError,
  fields: Readonly<Record<string, string>>,
  withoutBody: boolean,
): number {
  const problem = describeProblem(refusal, {});
  const body = withoutBody ? '' : JSON.stringify(problem);
  socket.write(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
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
  return problem.status;
}

const lingerMs = 1000;

/**
 * Ends a connection after its last answer: reads on for a moment, so that the answer is not lost to a reset, and then
 * cuts whoever does not go.
 */
export function closeSoon(socket: Duplex): void {
  socket.on('error', () => {});
  socket.end();
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}
