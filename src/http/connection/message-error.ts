/**
 * Checks each message as a whole: framing, size, target and Host. The server does it first, on every port and whatever layers
 * are on, and stores the error in `ctx.messageError`. It is thrown inside the pipeline, so that it is logged, counted and
 * answered like every other error.
 */

import type { IncomingMessage } from 'node:http';
import { AppError, type ErrorCode } from '../../errors.ts';
import { isHostField } from '../headers/host.ts';
import type { Target } from '../target.ts';

export interface MessageLimits {
  /** The maximum size of the request line and the header fields together. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
}

export interface Message {
  readonly request: IncomingMessage;
  readonly target: Target;
  /** Whether the client expects something other than `100-continue`. */
  readonly unknownExpectation: boolean;
}

/** The maximum length of a request target; RFC 9110, section 4.1 recommends at least 8,000 bytes. */
export const maxTargetBytes = 8192;

/** Every other method that the parser knows is a 501. */
const implemented = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']);

/** Real clients use few host names, which are cached; an attacker can use any number. */
const maxKnownHosts = 100;

/** Creates the check, which returns the first error of a message, or undefined. */
export function createMessageCheck({
  maxHeaderBytes,
  maxHeaderCount,
}: MessageLimits): (message: Message) => AppError | undefined {
  const validHosts = new Set<string>();

  function isValidHost(host: string): boolean {
    if (validHosts.has(host)) return true;
    if (!isHostField(host)) return false;
    if (validHosts.size < maxKnownHosts) validHosts.add(host);
    return true;
  }

  function findHostError({ headers, httpVersion }: IncomingMessage, hosts: number, { authority }: Target) {
    if (hosts > 1) return messageError('bad_host', 'The request has more than one Host header.');
    const { host } = headers;
    if (host === undefined && httpVersion !== '1.0') {
      return messageError('bad_host', 'The request has no Host header.');
    }
    if (!isValidHost(host ?? '')) {
      return messageError('bad_host', 'The Host header is not a host with an optional port.');
    }
    // It takes precedence over the Host header, which must still be valid (RFC 9112, section 3.2).
    if (authority !== undefined && !isValidHost(authority)) {
      return messageError('bad_host', 'The request target does not name a host with an optional port.');
    }
    return undefined;
  }

  return function findMessageError({ request, target, unknownExpectation }) {
    if (unknownExpectation) {
      return messageError(
        'expectation_failed',
        'The only expectation that this server supports is "100-continue".',
      );
    }
    const framingError = findFramingError(request);
    if (framingError !== undefined) return framingError;
    if (target.raw.length > maxTargetBytes) {
      return messageError('uri_too_long', `The request target is longer than ${maxTargetBytes} bytes.`);
    }
    const { method = '', rawHeaders } = request;
    if (rawHeaders.length > maxHeaderCount * 2) {
      return messageError('headers_too_large', `The request has more than ${maxHeaderCount} header fields.`);
    }
    const { bytes, hosts } = measure(rawHeaders);
    if (method.length + target.raw.length + requestLineRest + bytes > maxHeaderBytes) {
      return messageError(
        'headers_too_large',
        `The request line and the header fields are longer than ${maxHeaderBytes} bytes.`,
        { connection: 'close' },
      );
    }
    if (!implemented.has(method)) {
      return messageError('method_not_implemented', `This server does not implement the method ${method}.`);
    }
    if (target.raw === '*' && method !== 'OPTIONS') {
      return messageError('bad_target', 'The request target "*" is for OPTIONS only.');
    }
    if (target.error !== undefined) return messageError('bad_target', target.error);
    return findHostError(request, hosts, target);
  };
}

/** Two spaces, `HTTP/1.1` and CRLF. */
const requestLineRest = 12;

/** Returns the size of the header fields with their separators, and the number of `Host` fields; Node keeps only the first. */
function measure(rawHeaders: readonly string[]): { readonly bytes: number; readonly hosts: number } {
  let bytes = 0;
  let hosts = 0;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    bytes += name.length + (rawHeaders[at + 1] ?? '').length + 4;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return { bytes, hosts };
}

/**
 * The parser handles the last transfer coding, `chunked`, and leaves the others to the server, which implements none (RFC 9112,
 * section 6.1). A proxy in front may frame such a message differently, so the connection is closed.
 */
function findFramingError({ headers, httpVersion }: IncomingMessage): AppError | undefined {
  const codings = headers['transfer-encoding'];
  if (codings === undefined) return undefined;
  const close = { connection: 'close' };
  if (httpVersion === '1.0') {
    return messageError('bad_request', 'An HTTP/1.0 request must not have Transfer-Encoding.', close);
  }
  if (codings.toLowerCase() === 'chunked') return undefined;
  if (!/(?:^|[,\s])chunked\s*$/i.test(codings)) {
    return messageError('bad_request', 'The last transfer coding of a request must be "chunked".', close);
  }
  const detail = 'The only transfer coding that this server implements is "chunked".';
  return messageError('transfer_coding_not_implemented', detail, close);
}

function messageError(code: ErrorCode, detail: string, headers?: Record<string, string>): AppError {
  return new AppError(code, detail, { layer: 'server', ...(headers !== undefined && { headers }) });
}
