import type { AlertMessage } from '../../src/alerts/alert-message.ts';

/** An alert of an incident. */
export const raisedMessage: AlertMessage = {
  id: '0b1a2c3d-0000-4000-8000-000000000001.raised',
  event: 'alert.raised',
  incident: '0b1a2c3d-0000-4000-8000-000000000001',
  rule: 'auth_failures',
  severity: 'ticket',
  summary: '60 logins or credentials were rejected within 300 s.',
  value: 60,
  threshold: 50,
  window_seconds: 300,
  service: 'Shop <&>',
  environment: 'production',
  node: 'node-1',
  raised_at: '2026-01-01T00:00:00.000Z',
  resolved_at: null,
  runbook: 'https://docs.example.com/runbooks#strataauthfailures',
};

/** The resolution of the same incident. */
export const resolvedMessage: AlertMessage = {
  ...raisedMessage,
  id: '0b1a2c3d-0000-4000-8000-000000000001.resolved',
  event: 'alert.resolved',
  resolved_at: '2026-01-01T00:12:10.000Z',
};
