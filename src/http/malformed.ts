/**
 * Answers for what never became a request: the parser refused it, it took too long, or it wants a tunnel. There
 * is no response object then, only the socket, so the bytes are written here, as a problem like every other and
 * with the fields that RFC 9110 asks of an answer. The connection ends with it: after a framing error nothing
 * that follows can be trusted (RFC 9112, section 9.3).
 */

import { type ServerResponse, STATUS_CODES } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../errors.ts';
import { plainAddress } from './context.ts';
import { describeProblem, problemContentType } from './problem.ts';

export interface MalformedReport {
  /** Node's code for what was wrong: `HPE_…`, `ERR_HTTP_REQUEST_TIMEOUT`, `ECONNRESET`. */
  readonly reason: string;
  /** The status of the answer; undefined when nobody could be answered any more. */
  readonly status: number | undefined;
  /** The address of the socket's peer, which may be a proxy: without a request, no header says whom it speaks for. */
  readonly clientAddress: string;
}

export interface MalformedInput {
  readonly error: NodeJS.ErrnoException & { rawPacket?: Buffer };
  readonly socket: Duplex;
  /** The answer being made on this connection when the error came. */
  readonly pending: ServerResponse | undefined;
  readonly report: (report: MalformedReport) => void;
}

/** Answers a parser error or a time-out, and ends the connection. Called again, it does nothing more. */
export function answerMalformed(input: MalformedInput): void {
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
    pending.once('close', () => answerMalformed({ ...input, pending: undefined }));
    return;
  }
  if (pending?.headersSent) {
    // The answer is on its way; a second one would be read as its body.
    report({ reason, status: undefined, clientAddress: addressOf(socket) });
    pending.once('finish', () => socket.destroy());
    pending.end();
    return;
  }
  const refusal = refusalOf(error);
  const clientAddress = addressOf(socket);
  const status = writeProblem(socket, refusal);
  report({ reason, status, clientAddress });
}

/** Answers CONNECT, which asks an origin server for what only a proxy does. */
export function answerTunnel(socket: Duplex): void {
  socket.on('error', () => {});
  writeProblem(
    socket,
    new AppError('method_not_implemented', 'This server does not implement the method CONNECT.'),
  );
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

/** The headers overflowed before the request line had ended. */
function isTargetTooLong(packet: Buffer | undefined): boolean {
  return packet !== undefined && /^[A-Z]+ /.test(start(packet)) && !packet.includes(0x0a);
}

function writeProblem(socket: Duplex, refusal: AppError): number {
  const problem = describeProblem(refusal, {});
  const body = JSON.stringify(problem);
  socket.end(
    [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      `Date: ${new Date().toUTCString()}`,
      'Connection: close',
      'Cache-Control: no-store',
      'X-Content-Type-Options: nosniff',
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
      `Content-Type: ${problemContentType}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
  // Read on for a moment, so that the answer is not lost to a reset; then cut whoever does not go.
  socket.resume();
  setTimeout(() => socket.destroy(), lingerMs).unref();
  return problem.status;
}

const lingerMs = 1000;
