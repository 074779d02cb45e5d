import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { AlertMessage } from '../../src/alerts/alert-message.ts';
import { createOutbox } from '../../src/alerts/outbox.ts';
import { createWebhook, signatureOf, type Webhook } from '../../src/alerts/webhook.ts';
import { openHttpClient } from '../../src/program/parts/open-http-client.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { raisedMessage as raised, resolvedMessage as resolved } from '../helpers/alert-messages.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartReceiver, webhookPath, webhookSecret } from '../helpers/webhook-receiver.ts';

async function mustPrepare(t: TestContext, { timeoutMs = 5_000 } = {}) {
  const receiver = await mustStartReceiver(t);
  const captured = captureLog();
  const { settings } = loadSettings({ env: { APP_OUTGOING_ALLOWED_ADDRESSES: '127.0.0.1' }, envFile: null });
  const httpClient = openHttpClient({ settings, log: captured.log });
  t.after(() => httpClient.close());
  const webhook = createWebhook({ url: receiver.url, secret: webhookSecret, httpClient, timeoutMs });
  return { receiver, webhook, captured };
}

describe('the webhook', () => {
  it('the signature is the HMAC-SHA256 of the timestamp, a dot and the body', () => {
    // printf '%s' '1767225600.{"text":"x"}' | openssl dgst -sha256 -hmac key
    assert.equal(
      signatureOf('key', '1767225600', '{"text":"x"}'),
      'sha256=baa12bf9c86a9aefae88eb5462e8b08f6f0618e2d8d5f5564e3e61b5d36b7a2c',
    );
  });

  it('the example of docs/alerting.md accepts a message, and none that was changed, is old or has another secret', async (t) => {
    const { receiver, webhook } = await mustPrepare(t);
    await webhook.send(raised);
    const { headers, body } = receiver.accepted[0] ?? { headers: {}, body: '' };
    const page = readFileSync(join(import.meta.dirname, '../../docs/alerting.md'), 'utf8');
    const [, code = ''] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
    const { isGenuine } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
    assert.equal(isGenuine(headers, body, webhookSecret), true);
    assert.equal(isGenuine(headers, body.replace('60', '61'), webhookSecret), false);
    assert.equal(isGenuine(headers, body, 'other'), false);
    assert.equal(isGenuine({}, body, webhookSecret), false);
    const timestamp = '1767225600';
    const old = {
      'x-alert-timestamp': timestamp,
      'x-alert-signature': signatureOf(webhookSecret, timestamp, body),
    };
    assert.equal(isGenuine(old, body, webhookSecret), false);
  });

  it('a message has a text for people, in which chat programs find no markup, and the fields for programs', async (t) => {
    const { receiver, webhook } = await mustPrepare(t);
    await webhook.send(raised);
    await webhook.send(resolved);
    assert.deepEqual(
      receiver.accepted.map(({ text }) => text),
      [
        'ALERT (ticket) Shop &lt;&amp;&gt; (production): 60 logins or credentials were rejected within 300 s. Threshold: 50. Runbook: https://docs.example.com/runbooks#strataauthfailures',
        'RESOLVED Shop &lt;&amp;&gt; (production): over after 12 min. It was: 60 logins or credentials were rejected within 300 s.',
      ],
    );
    assert.deepEqual(
      receiver.accepted.map(({ alert }) => alert),
      [raised, resolved],
    );
    assert.equal(receiver.accepted[0]?.headers['content-type'], 'application/json');
  });

  it('a receiver that does not answer fails the attempt within its time', async (t) => {
    const { receiver, webhook } = await mustPrepare(t, { timeoutMs: 200 });
    receiver.answerWith(() => {});
    await assert.rejects(webhook.send(raised), { code: 'outgoing_timeout' });
    assert.equal(receiver.requests.length, 1, 'the job retries, not the client');
  });

  for (const status of [301, 404, 500]) {
    it(`a receiver that answers with ${status} fails the attempt, with an error without the URL`, async (t) => {
      const { receiver, webhook, captured } = await mustPrepare(t);
      receiver.answerWith((response) => response.writeHead(status, { location: '/elsewhere' }).end());
      await assert.rejects(webhook.send(raised), (error: Error) => {
        assert.equal(
          error.message,
          `The webhook of SECURITY_ALERT_WEBHOOK_URL answered with the status ${status}.`,
        );
        return true;
      });
      assert.doesNotMatch(captured.text(), new RegExp(`${webhookPath}|${webhookSecret}`));
      assert.match(captured.text(), /"url":"http:\/\/127\.0\.0\.1:\d+"/);
    });
  }
});

describe('the outbox', () => {
  it('messages are sent in their order, again until the receiver accepts them', async (t) => {
    const { receiver, webhook, captured } = await mustPrepare(t);
    let requests = 0;
    receiver.answerWith((response) => {
      requests += 1;
      response.writeHead(requests <= 3 ? 503 : 200).end();
    });
    const outbox = createOutbox({ webhook, log: captured.log, backoff: { baseMs: 1, maxMs: 5 } });
    t.after(outbox.stop);
    outbox.push([raised]);
    outbox.push([resolved]);
    await eventually('both are delivered', () => receiver.accepted.length === 2);
    assert.deepEqual(
      receiver.accepted.map(({ alert }) => alert.id),
      [raised.id, resolved.id],
    );
    assert.equal(receiver.requests.length, 5);
  });

  it('a message that cannot be delivered is dropped and logged after the last attempt, and the next one is sent', async (t) => {
    const captured = captureLog();
    const sent: string[] = [];
    const webhook: Webhook = {
      async send({ id }) {
        sent.push(id);
        if (id === raised.id) throw new Error('The webhook answered with the status 500.');
      },
    };
    const outbox = createOutbox({ webhook, log: captured.log, backoff: { baseMs: 1, maxMs: 1 } });
    t.after(outbox.stop);
    outbox.push([raised, resolved]);
    await eventually('the second is sent', () => sent.includes(resolved.id));
    assert.equal(sent.length, 31);
    const [line, ...others] = captured.of('alert.undelivered');
    assert.deepEqual(others, []);
    assert.deepEqual(
      [line?.message, line?.attempts, line?.reason],
      [raised.id, 30, 'The webhook answered with the status 500'],
    );
  });

  it('the waiting messages can be taken during a pause, and are not sent then', async (t) => {
    const { receiver, webhook, captured } = await mustPrepare(t);
    receiver.answerWith((response) => response.writeHead(500).end());
    const outbox = createOutbox({ webhook, log: captured.log, backoff: { baseMs: 600_000, maxMs: 600_000 } });
    outbox.push([raised]);
    outbox.pushUnclaimed([{ ...raised, id: 'unclaimed' }]);
    outbox.push([resolved]);
    let taken: readonly AlertMessage[] = [];
    await eventually('they are taken', () => {
      taken = outbox.take();
      return taken.length > 0;
    });
    assert.deepEqual(taken, [raised, resolved]);
    assert.deepEqual(outbox.take(), []);
    await outbox.stop();
    assert.ok(receiver.requests.length <= 1);
  });
});
