import { boolean, boundedText, integer } from '../kinds/kind.ts';
import { runbookBase, webhookUrl } from '../kinds/webhook.ts';
import { variable } from '../variable.ts';

const maxEvents = 1_000_000;
const maxSecretLength = 1024;

/** Alerts that the program raises itself, and where it sends them. */
export const alertSettings = {
  enableAlerting: variable('SECURITY_ENABLE_ALERTING', boolean(), {
    default: 'false',
    about:
      'Evaluate the alert rules (docs/alerting.md) over all processes, and with a database over all nodes: one alert per incident and one resolution, in the log, in the metrics and to the webhook.',
  }),
  alertWindowSeconds: variable('SECURITY_ALERT_WINDOW_SECONDS', integer(1, 86_400, 'seconds'), {
    default: '300',
    about:
      'The time in which the thresholds below count. An incident is resolved when its rule has been below its threshold for as long.',
  }),
  alertRateLimitThreshold: variable('SECURITY_ALERT_RATE_LIMIT_THRESHOLD', integer(1, maxEvents), {
    default: '100',
    about: 'Requests that exceeded a rate limit, from which an alert is raised.',
  }),
  alertAuthFailureThreshold: variable('SECURITY_ALERT_AUTH_FAILURE_THRESHOLD', integer(1, maxEvents), {
    default: '50',
    about:
      'Failed and throttled logins and rejected credentials, from which an alert is raised. Access tokens that have expired do not count.',
  }),
  alertErrorRatePercent: variable('SECURITY_ALERT_ERROR_RATE_PERCENT', integer(1, 100, '%'), {
    default: '5',
    about:
      'Responses with a 5xx status as a percentage of all, from which an alert is raised, if there are at least 10.',
  }),
  alertCircuitOpenSeconds: variable('SECURITY_ALERT_CIRCUIT_OPEN_SECONDS', integer(1, 86_400, 'seconds'), {
    default: '60',
    about: 'How long a circuit, other than that of the database, has been open when an alert is raised.',
  }),
  alertWorkerCrashThreshold: variable('SECURITY_ALERT_WORKER_CRASH_THRESHOLD', integer(1, maxEvents), {
    default: '3',
    about: 'Crashes of workers and of the jobs process, from which an alert is raised.',
  }),
  alertFailedJobThreshold: variable('SECURITY_ALERT_FAILED_JOB_THRESHOLD', integer(1, maxEvents), {
    default: '1',
    about: 'Jobs that failed permanently, from which an alert is raised.',
  }),
  alertDatabaseAwaySeconds: variable('SECURITY_ALERT_DATABASE_AWAY_SECONDS', integer(1, 86_400, 'seconds'), {
    default: '30',
    about: 'How long no process of a node has reached the database when an alert is raised.',
  }),
  alertWebhookUrl: variable('SECURITY_ALERT_WEBHOOK_URL', webhookUrl(), {
    default: '',
    secret: 'value',
    about:
      'Where alerts are sent: an incoming webhook of Slack or Mattermost, or any other receiver of a signed POST. A private address must be in APP_OUTGOING_ALLOWED_ADDRESSES.',
  }),
  alertWebhookSecret: variable('SECURITY_ALERT_WEBHOOK_SECRET', boundedText(maxSecretLength), {
    default: '',
    secret: 'value',
    about:
      'Signs the messages to the webhook, so that the receiver can check them. Needed with SECURITY_ALERT_WEBHOOK_URL; at least 32 bytes.',
  }),
  alertWebhookAllowHttp: variable('SECURITY_ALERT_WEBHOOK_ALLOW_HTTP', boolean(), {
    default: 'false',
    about:
      'Allow a webhook with http:// in staging and production, for a receiver in a network that you trust.',
  }),
  alertRunbookUrl: variable('SECURITY_ALERT_RUNBOOK_URL', runbookBase(), {
    default: 'docs/runbooks.md',
    about: 'Address of the page of runbooks, to which alerts link. Each rule is a fragment of it.',
  }),
};
