/**
 * Alert messages as jobs: the task `deliver_alert` sends one message to the webhook of the settings. The evaluator of a node
 * (`src/alerts/`) enqueues it in the transaction that opens or resolves the incident, so a message exists if and only if its
 * incident does. It is delivered at least once: its `id` is the same in every attempt.
 *
 * The job contains neither the URL nor the secret of the webhook, which the process that runs it reads from its settings.
 */

import * as z from 'zod';
import type { AlertMessage } from '../../alerts/alert-message.ts';
import { alertRuleNames } from '../../alerts/rules.ts';
import { defineTask } from '../../jobs/task.ts';

const message = z.strictObject({
  id: z.string(),
  event: z.enum(['alert.raised', 'alert.resolved']),
  incident: z.uuid(),
  rule: z.enum(alertRuleNames),
  severity: z.enum(['page', 'ticket']),
  summary: z.string(),
  value: z.number(),
  threshold: z.number(),
  window_seconds: z.number(),
  service: z.string(),
  environment: z.string(),
  node: z.string(),
  raised_at: z.string(),
  resolved_at: z.string().nullable(),
  runbook: z.string(),
}) satisfies z.ZodType<AlertMessage>;

/** Its result is `{ status: 'delivered' }`. The attempts take one to two hours. */
export const deliverAlert = defineTask({
  name: 'deliver_alert',
  payload: message,
  queue: 'alerts',
  priority: 0,
  maxAttempts: 20,
  timeoutMs: 30_000,
  backoff: { baseMs: 1_000, maxMs: 15 * 60_000 },
});
