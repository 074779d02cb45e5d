import { get } from 'node:http';
import { text } from 'node:stream/consumers';

export interface TextResponse {
  readonly status: number;
  readonly body: string;
}

/**
 * Requests a URL of this machine. Rejects if there is no whole response within `timeoutMs`. Not by `fetch`, which rejects some
 * ports, such as 6000.
 */
export function getText(
  url: string,
  timeoutMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<TextResponse> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = get(url, { agent: false, headers, signal }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    });
    sent.on('error', reject);
  });
}
