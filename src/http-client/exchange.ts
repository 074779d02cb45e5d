/**
 * One outgoing request and its response, without redirects and retries. The body of the response is read whole, decompressed
 * as it arrives, and the connection is closed as soon as it exceeds its limit: a small compressed body cannot fill the memory.
 */

import {
  type ClientRequest,
  type Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { pipeline, type Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { AppError, systemErrorCode } from '../errors.ts';

export interface Exchange {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
  /** The name of the called service, for the messages of errors. */
  readonly service: string;
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent };
  readonly lookup: LookupFunction;
  /** The maximum size of the decompressed body, in bytes. */
  readonly maxBytes: number;
  /** Ends the exchange; its reason is what the promise rejects with. */
  readonly signal: AbortSignal;
}

export interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer<ArrayBuffer>;
}

const maxHeaderBytes = 16_384;

/** The content codings that requests accept (RFC 9110, section 8.4.1). */
export const acceptedEncodings = 'gzip, deflate, br';

/** Resolves with the response, whatever its status. Rejects with an AppError, or with the reason of the signal. */
export async function exchange(call: Exchange): Promise<Received> {
  const { signal } = call;
  signal.throwIfAborted();
  const sent = send(call);
  const stop = () => sent.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const response = await responseOf(sent);
    return await receive(call, response);
  } catch (error) {
    sent.destroy();
    throw signal.aborted ? signal.reason : explain(call.service, error);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function send({ url, method, headers, body, agents, lookup }: Exchange): ClientRequest {
  const secure = url.protocol === 'https:';
  const options = { method, headers, lookup, maxHeaderSize: maxHeaderBytes };
  const sent = secure
    ? httpsRequest(url, { ...options, agent: agents.https })
    : httpRequest(url, { ...options, agent: agents.http });
  sent.end(body);
  return sent;
}

function responseOf(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once('response', resolve);
    // Stays: an error after the response is also an error of the response, and must not be uncaught here.
    sent.on('error', reject);
    sent.once('close', () => reject(new Error('The connection was closed before the response.')));
  });
}

async function receive(
  { method, maxBytes, service }: Exchange,
  response: IncomingMessage,
): Promise<Received> {
  const status = response.statusCode ?? 0;
  const isBodyless = method === 'HEAD' || status === 204 || status === 304;
  const encoding = isBodyless ? '' : (response.headers['content-encoding'] ?? '').trim().toLowerCase();
  const decoded = decode(response, encoding, service);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of decoded) {
    size += chunk.length;
    if (size > maxBytes) throw invalid(`The response of ${service} is larger than ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return { status, headers: headersOf(response, decoded !== response), body: Buffer.concat(chunks) };
}

function decode(response: IncomingMessage, encoding: string, service: string): Readable {
  if (encoding === '' || encoding === 'identity') return response;
  const decoder =
    encoding === 'gzip' || encoding === 'x-gzip'
      ? createGunzip()
      : encoding === 'deflate'
        ? createInflate()
        : encoding === 'br'
          ? createBrotliDecompress()
          : undefined;
  if (decoder === undefined)
    throw invalid(`The response of ${service} has a content encoding that was not accepted.`);
  // Errors go to the reader of the decoder.
  pipeline(response, decoder, () => {});
  return decoder;
}

/** Returns the fields of a response; those that described the compressed body are left out. */
function headersOf({ rawHeaders }: IncomingMessage, isDecoded: boolean): Headers {
  const headers = new Headers();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (isDecoded && (name === 'content-encoding' || name === 'content-length')) continue;
    headers.append(name, rawHeaders[index + 1] ?? '');
  }
  return headers;
}

/** Makes the AppError of a failed exchange. The cause has the details; a client sees only the name of the service. */
function explain(service: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = systemErrorCode(error) ?? '';
  if (
    code.startsWith('HPE_') ||
    code.startsWith('Z_') ||
    code.startsWith('ERR__ERROR_') ||
    error instanceof TypeError
  )
    return invalid(`The response of ${service} is malformed.`, error);
  return new AppError(
    'outgoing_unavailable',
    `${service} cannot be reached at the moment: try again later.`,
    {
      cause: error,
      headers: { 'retry-after': '1' },
    },
  );
}

/** Creates the error for a response that is not used. */
export function invalid(detail: string, cause?: unknown): AppError {
  return new AppError('outgoing_response_invalid', detail, { cause });
}
