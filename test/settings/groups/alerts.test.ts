import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { testSecret } from '../../helpers/test-secret.ts';
import { webhookSecret } from '../../helpers/webhook-receiver.ts';

type Env = Readonly<Record<string, string>>;

const load = (env: Env) => loadSettings({ env, envFile: null });
const url = 'https://hooks.example.com/services/T0/B0/hunter2';
const on = { SECURITY_ENABLE_ALERTING: 'true' };
const webhook = { ...on, SECURITY_ALERT_WEBHOOK_URL: url, SECURITY_ALERT_WEBHOOK_SECRET: webhookSecret };
const production = {
  APP_ENVIRONMENT: 'production',
  APP_ALLOWED_HOSTS: 'api.example.com',
  APP_DATABASE_URL: 'postgres://db/strata?sslmode=require',
  SECURITY_JWT_SECRET: testSecret,
};

it('the URL and the secret of the webhook are never shown', () => {
  const { origins } = load(webhook);
  assert.doesNotMatch(JSON.stringify(origins), new RegExp(`hunter2|${webhookSecret}`));
});

it('a webhook with http is accepted in production if the operator allows it', () => {
  const http = { ...webhook, SECURITY_ALERT_WEBHOOK_URL: 'http://mattermost.internal/hooks/x' };
  const env = { ...production, ...http, SECURITY_ALERT_WEBHOOK_ALLOW_HTTP: 'true' };
  assert.equal(load(env).settings.security.alertWebhookUrl, 'http://mattermost.internal/hooks/x');
});

describe('a configuration with which alerts cannot be raised or delivered', () => {
  const table: readonly (readonly [what: string, env: Env, reason: RegExp])[] = [
    [
      'a webhook without a secret',
      { ...on, SECURITY_ALERT_WEBHOOK_URL: url },
      /^SECURITY_ALERT_WEBHOOK_URL needs SECURITY_ALERT_WEBHOOK_SECRET, which signs the messages: set it to the output of `openssl rand -hex 32`\.$/,
    ],
    [
      'a short secret',
      { ...webhook, SECURITY_ALERT_WEBHOOK_SECRET: 'Xq7' },
      /^SECURITY_ALERT_WEBHOOK_SECRET is shorter than the 32 bytes that a signature needs: /,
    ],
    [
      'a guessable secret',
      { ...webhook, SECURITY_ALERT_WEBHOOK_SECRET: 'change-me-change-me-change-me-change-me' },
      /^SECURITY_ALERT_WEBHOOK_SECRET (?:is a placeholder|repeats)/,
    ],
    [
      'the secret of access tokens',
      { ...webhook, SECURITY_ALERT_WEBHOOK_SECRET: testSecret, SECURITY_JWT_SECRET: testSecret },
      /^SECURITY_ALERT_WEBHOOK_SECRET is also a secret of access tokens, /,
    ],
    [
      'a webhook without https in production',
      { ...production, ...webhook, SECURITY_ALERT_WEBHOOK_URL: 'http://hooks.example.com/hunter2' },
      /^SECURITY_ALERT_WEBHOOK_URL does not use https, so production would send alerts in plain text: /,
    ],
    [
      'a URL of another scheme',
      { ...webhook, SECURITY_ALERT_WEBHOOK_URL: 'ftp://hooks.example.com/hunter2' },
      /^SECURITY_ALERT_WEBHOOK_URL has an invalid value in the environment \(not shown, .*\): it must be a URL such as /,
    ],
    [
      'no layer that counts the responses',
      { ...on, APP_DISABLED_LAYERS: 'metrics' },
      /^SECURITY_ENABLE_ALERTING=true needs the layer metrics, /,
    ],
    [
      'a threshold of the rate limit without a rate limit',
      { ...on, SECURITY_ALERT_RATE_LIMIT_THRESHOLD: '10', SECURITY_RATE_LIMIT_ENABLED: 'false' },
      /^SECURITY_ALERT_RATE_LIMIT_THRESHOLD is set, and no request exceeds a limit /,
    ],
  ];
  for (const [what, env, reason] of table) {
    it(`${what} stops the start with one sentence without a secret`, () => {
      assert.throws(
        () => load(env),
        (error) => {
          assert.ok(error instanceof StartError);
          assert.match(error.message, reason);
          assert.equal(error.message.split('\n').length, 1);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
  }
});

describe('a warning', () => {
  it('a webhook without alerting is a warning', () => {
    const { warnings } = load({ ...webhook, SECURITY_ENABLE_ALERTING: 'false' });
    assert.match(
      warnings.join('\n'),
      /^SECURITY_ALERT_WEBHOOK_URL has no effect with SECURITY_ENABLE_ALERTING=false: /,
    );
  });

  it('a webhook without a process for jobs is a warning', () => {
    const { warnings } = load({ ...webhook, APP_TASKS_ENABLED: 'false' });
    assert.match(warnings.join('\n'), /^SECURITY_ALERT_WEBHOOK_URL is called by jobs, /);
  });
});
