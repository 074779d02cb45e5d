import type { AlertMessage } from '../../alerts/alert-message.ts';
import type { JobDelivery } from '../../alerts/incident-store.ts';
import { deliverAlert } from '../../features/alerts/alerts.ts';
import { isPaused } from '../../features/alerts/store.ts';
import { createQueue } from '../../jobs/queue.ts';

/** After this time without a runner that claims its job, a message is sent directly. */
const defaultUnclaimedMs = 30_000;

/** Delivers messages by the task `deliver_alert`, and remembers its jobs until a runner has claimed them. */
export function createJobDelivery(unclaimedMs = defaultUnclaimedMs): JobDelivery {
  const queue = createQueue({ definitions: [deliverAlert] });
  const waiting = new Map<number, { readonly message: AlertMessage; readonly dueAt: number }>();
  return {
    async enqueue(sql, messages) {
      for (const message of messages) {
        const { job } = await queue.enqueue(sql, deliverAlert, message, { uniqueKey: message.id });
        waiting.set(job.id, { message, dueAt: performance.now() + unclaimedMs });
      }
    },
    async cancelUnclaimed(sql) {
      const now = performance.now();
      const due = [...waiting].filter(([, { dueAt }]) => dueAt <= now);
      // Messages wait as long as an operator has paused their queue.
      if (due.length === 0 || (await isPaused(sql, deliverAlert.queue))) return [];
      const unclaimed: AlertMessage[] = [];
      const jobs = await queue.findMany(
        sql,
        due.map(([id]) => id),
      );
      for (const [id, { message }] of due) {
        waiting.delete(id);
        const isWaiting = jobs.some((job) => job.id === id && job.state === 'available' && job.attempt === 0);
        if (isWaiting && (await queue.cancel(sql, id))?.job.state === 'cancelled') unclaimed.push(message);
      }
      return unclaimed;
    },
  };
}
