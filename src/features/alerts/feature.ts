import { createWebhook } from '../../alerts/webhook.ts';
import type { Feature } from '../feature.ts';
import { deliverAlert } from './alerts.ts';
import { deliverAlertTask } from './tasks.ts';

/** Delivers the alerts of the program (`src/alerts/`, docs/alerting.md). */
export const alerts = {
  name: 'alerts',
  tasks: [
    {
      definition: deliverAlert,
      create({ settings, httpClient }) {
        const { alertWebhookUrl: url, alertWebhookSecret: secret } = settings.security;
        return deliverAlertTask(url === '' ? null : createWebhook({ url, secret, httpClient }));
      },
    },
  ],
} satisfies Feature;
