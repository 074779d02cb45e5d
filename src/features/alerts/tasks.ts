import type { Webhook } from '../../alerts/webhook.ts';
import { AppError } from '../../errors.ts';
import { implementTask, type Task, TaskRejection, TaskSnooze } from '../../jobs/task.ts';
import { deliverAlert } from './alerts.ts';
import { isUndelivered } from './store.ts';

/** How long a resolution waits for its alert between two attempts, in milliseconds. */
const orderMs = 1_000;

/**
 * The task `deliver_alert`. A receiver that does not answer, or answers with an error, fails the attempt, which is retried. A URL
 * that is never called, because its address is private, fails the job at once. A resolution waits while its alert is being
 * retried, so that they arrive in their order. `webhook` is null if none is configured.
 */
export function deliverAlertTask(webhook: Webhook | null): Task {
  return implementTask(deliverAlert, async (message, { signal, sql }) => {
    if (webhook === null) {
      throw new Error('There is no webhook: set SECURITY_ALERT_WEBHOOK_URL where jobs run.');
    }
    if (
      message.event === 'alert.resolved' &&
      (await isUndelivered(sql, deliverAlert.name, `${message.incident}.raised`))
    ) {
      throw new TaskSnooze(orderMs, 'The alert of this resolution has not been delivered yet.');
    }
    try {
      await webhook.send(message, signal);
    } catch (error) {
      if (error instanceof AppError && error.code === 'outgoing_refused')
        throw new TaskRejection(error.message);
      throw error;
    }
    return { status: 'delivered' };
  });
}
