import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { AlertMessage } from '../../src/alerts/alert-message.ts';

/** The last part of the path, which is a secret as in the URL of a chat program. */
export const webhookPath = 'T0-hunter2path';

export const webhookSecret = '5d1f0a3c9be24786d0f31c85a7e94b620c8d57fe13a9b4260e7d85c1f4ba3962';

export interface ReceivedAlert {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly text: string;
  readonly alert: AlertMessage;
}

export interface WebhookReceiver {
  readonly url: string;
  readonly port: number;
  /** All requests with a valid signature, in their order, also those that were not accepted. */
  readonly requests: readonly ReceivedAlert[];
  /** The alerts that were accepted with 200. */
  readonly accepted: readonly ReceivedAlert[];
  /** Decides on the requests from now on. Default: 200. */
  answerWith(answer: (response: ServerResponse) => void): void;
}

/** Starts a receiver that checks the signature of each request, until the end of the test. */
export async function mustStartReceiver(t: { after(end: () => void): void }): Promise<WebhookReceiver> {
  const requests: ReceivedAlert[] = [];
  const accepted: ReceivedAlert[] = [];
  let answer = (response: ServerResponse): void => void response.end('ok');
  const server = createServer(async (request, response) => {
    const body = await text(request);
    assert.equal(request.headers['x-alert-signature'], expectedSignature(request.headers, body));
    const received = { headers: request.headers, body, ...JSON.parse(body) };
    requests.push(received);
    response.on('finish', () => {
      if (response.statusCode === 200) accepted.push(received);
    });
    answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The receiver has no port.');
  const { port } = address;
  return {
    ...{ port, requests, accepted },
    url: `http://127.0.0.1:${port}/services/${webhookPath}`,
    answerWith(next) {
      answer = next;
    },
  };
}

/** The check that docs/alerting.md describes. */
function expectedSignature(headers: IncomingHttpHeaders, body: string): string {
  const timestamp = String(headers['x-alert-timestamp']);
  assert.ok(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300, 'the timestamp is recent');
  return `sha256=${createHmac('sha256', webhookSecret).update(`${timestamp}.${body}`).digest('hex')}`;
}
