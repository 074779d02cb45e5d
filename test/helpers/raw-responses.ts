/** A response parsed from the bytes that a server sent. */
export interface RawResponse {
  readonly status: number;
  /** Header values by lower-case name. Values of a repeated name are joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Splits all bytes received on one connection into responses, by the framing that the responses declare (RFC 9112, section
 * 6). Throws if a byte is left over or missing, so an unrequested second response does not go unnoticed. `methods` are
 * those of the requests, since responses to HEAD have no body, whatever they declare.
 */
export function parseResponses(received: string, methods: readonly string[] = []): RawResponse[] {
  const responses: RawResponse[] = [];
  let rest = received;
  let asked = 0;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const [statusLine = '', ...fields] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) [^\r\n]+$/.exec(statusLine)?.[1]);
    if (end < 0 || !Number.isInteger(status)) throw new Error(`Not a response: ${JSON.stringify(rest)}`);
    const headers: Record<string, string> = {};
    for (const field of fields) {
      const [, name = '', value = ''] = /^([^:\s]+): (.*)$/.exec(field) ?? [];
      if (name === '') throw new Error(`Not a header field: ${JSON.stringify(field)}`);
      const present = headers[name.toLowerCase()];
      headers[name.toLowerCase()] = present === undefined ? value : `${present}, ${value}`;
    }
    rest = rest.slice(end + 4);
    const isInterim = status < 200;
    const hasBody = !isInterim && status !== 204 && status !== 304 && methods[asked] !== 'HEAD';
    const read = hasBody ? readBody(rest, headers) : { body: '', rest };
    rest = read.rest;
    responses.push({ status, headers, body: read.body });
    if (!isInterim) asked += 1;
  }
  return responses;
}

function readBody(text: string, headers: Readonly<Record<string, string>>): { body: string; rest: string } {
  if (headers['transfer-encoding'] === 'chunked') return readChunks(text);
  const length = Number(headers['content-length']);
  if (!Number.isInteger(length) || text.length < length) {
    throw new Error(`Content-Length ${headers['content-length']} before ${text.length} bytes.`);
  }
  return { body: text.slice(0, length), rest: text.slice(length) };
}

function readChunks(text: string): { body: string; rest: string } {
  let body = '';
  let rest = text;
  for (;;) {
    const [, digits = ''] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    const length = Number.parseInt(digits, 16);
    const from = digits.length + 2;
    if (Number.isNaN(length) || rest.slice(from + length, from + length + 2) !== '\r\n') {
      throw new Error(`Not a complete chunk: ${JSON.stringify(rest)}`);
    }
    body += rest.slice(from, from + length);
    rest = rest.slice(from + length + 2);
    if (length === 0) return { body, rest };
  }
}
