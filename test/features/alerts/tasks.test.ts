import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AlertMessage } from '../../../src/alerts/alert-message.ts';
import type { Webhook } from '../../../src/alerts/webhook.ts';
import { AppError } from '../../../src/errors.ts';
import { deliverAlert } from '../../../src/features/alerts/alerts.ts';
import { isPaused } from '../../../src/features/alerts/store.ts';
import { deliverAlertTask } from '../../../src/features/alerts/tasks.ts';
import { pauseQueue, resumeQueue } from '../../../src/jobs/admin/operations.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { TaskRejection, TaskSnooze } from '../../../src/jobs/task.ts';
import { raisedMessage, resolvedMessage } from '../../helpers/alert-messages.ts';
import { makeTaskContext } from '../../helpers/task-context.ts';
import { mustConnect, mustOpenTestDatabase } from '../../helpers/test-database.ts';

function collect() {
  const sent: AlertMessage[] = [];
  const webhook: Webhook = { send: async (message) => void sent.push(message) };
  return { sent, webhook };
}

describe('the task deliver_alert', () => {
  it('the task sends a message, and its result states that', async (t) => {
    const { sent, webhook } = collect();
    const ctx = makeTaskContext(mustConnect(t, {}));
    assert.deepEqual(await deliverAlertTask(webhook).run(raisedMessage, ctx), { status: 'delivered' });
    assert.deepEqual(sent, [raisedMessage]);
  });

  it('a resolution waits while its alert has not been delivered', async (t) => {
    const { sent, webhook } = collect();
    const database = await mustOpenTestDatabase(t);
    const { sql } = database;
    const queue = createQueue({ definitions: [deliverAlert] });
    const options = { uniqueKey: raisedMessage.id };
    const { job } = await queue.enqueue(sql, deliverAlert, raisedMessage, options);
    const run = async () => deliverAlertTask(webhook).run(resolvedMessage, makeTaskContext(database));
    await assert.rejects(run, TaskSnooze);
    assert.deepEqual(sent, []);
    await queue.cancel(sql, job.id);
    await run();
    assert.deepEqual(sent, [resolvedMessage]);
  });

  it('an address that is never called fails the job at once, and a missing webhook can be added before the next attempt', async (t) => {
    const ctx = makeTaskContext(mustConnect(t, {}));
    const send = () =>
      Promise.reject(new AppError('outgoing_refused', 'The URL leads to a private address.'));
    await assert.rejects(async () => deliverAlertTask({ send }).run(raisedMessage, ctx), TaskRejection);
    await assert.rejects(
      async () => deliverAlertTask(null).run(raisedMessage, ctx),
      /^Error: There is no webhook: set SECURITY_ALERT_WEBHOOK_URL where jobs run\.$/,
    );
  });

  it('the queue of alerts is paused until an operator resumes it', async (t) => {
    const { sql } = await mustOpenTestDatabase(t);
    await createQueue({ definitions: [deliverAlert] }).enqueue(sql, deliverAlert, raisedMessage);
    assert.equal(await isPaused(sql, deliverAlert.queue), false);
    await pauseQueue(sql, deliverAlert.queue);
    assert.equal(await isPaused(sql, deliverAlert.queue), true);
    await resumeQueue(sql, deliverAlert.queue);
    assert.equal(await isPaused(sql, deliverAlert.queue), false);
  });
});
