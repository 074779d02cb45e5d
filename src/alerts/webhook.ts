/**
 * Sends alert messages to the webhook of the settings: a POST with JSON that Slack and Mattermost accept (they read `text` and
 * ignore other fields), signed so that any other receiver can check where it comes from.
 *
 *     X-Alert-Timestamp: 1767225600
 *     X-Alert-Signature: sha256=<hex of HMAC-SHA256(secret, timestamp + "." + body)>
 *
 * The timestamp is part of the signed text and new in every attempt, so a receiver that rejects old ones cannot be sent a
 * recorded message again. Redirects are not followed, and the path of the URL is kept out of the log: the URL of a chat program
 * is a secret.
 */

import { createHmac } from 'node:crypto';
import type { HttpClient } from '../http-client/http-client.ts';
import { type AlertMessage, textOf } from './alert-message.ts';

export interface WebhookOptions {
  readonly url: string;
  readonly secret: string;
  readonly httpClient: Pick<HttpClient, 'fetch'>;
  readonly timeoutMs?: number;
}

export interface Webhook {
  /** Sends one message once. Rejects with an AppError of the client, or with an Error for a status other than 2xx. */
  send(message: AlertMessage, signal?: AbortSignal): Promise<void>;
}

const defaultTimeoutMs = 10_000;
/** The body of the response is not used. */
const maxResponseBytes = 65_536;

export function createWebhook({
  url,
  secret,
  httpClient,
  timeoutMs = defaultTimeoutMs,
}: WebhookOptions): Webhook {
  return {
    async send(message, signal) {
      const body = JSON.stringify({ text: textOf(message), alert: message });
      const timestamp = String(Math.floor(Date.now() / 1000));
      const { ok, status } = await httpClient.fetch(url, {
        service: 'alert_webhook',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-alert-timestamp': timestamp,
          'x-alert-signature': signatureOf(secret, timestamp, body),
        },
        body,
        redirect: 'manual',
        hidePath: true,
        ...{ timeoutMs, maxResponseBytes },
        ...(signal !== undefined && { signal }),
      });
      if (!ok)
        throw new Error(`The webhook of SECURITY_ALERT_WEBHOOK_URL answered with the status ${status}.`);
    },
  };
}

/** Returns the signature of a body that is sent at `timestamp`, in seconds of Unix time. */
export function signatureOf(secret: string, timestamp: string, body: string): string {
  return `sha256=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
}
