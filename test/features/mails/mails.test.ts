import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { sendEmail } from '../../../src/features/mails/mails.ts';
import { sendEmailTask } from '../../../src/features/mails/tasks.ts';
import { type TaskContext, TaskRejection, TaskSnooze } from '../../../src/jobs/task.ts';
import { MailError, type Mailer } from '../../../src/mail/mailer.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { captureMail } from '../../helpers/captured-mail.ts';
import { mustConnect } from '../../helpers/test-database.ts';

const message = { to: 'ada@example.org', subject: 'Welcome!', body: 'Welcome to our service.' };

/** Runs the task where there is no database, which it does not need. */
async function runOver(t: TestContext, mailer: Pick<Mailer, 'send'> | null): Promise<unknown> {
  const { sql, transaction } = mustConnect(t, { url: null });
  const ctx: TaskContext = {
    job: { id: 1, attempt: 1, maxAttempts: 14, userId: null },
    log: captureLog().log,
    progress() {},
    signal: new AbortController().signal,
    sql,
    tx: transaction,
  };
  return sendEmailTask(mailer).run(message, ctx);
}

describe('the task send_email', () => {
  it('send_email delivers the mail and returns its recipient', async (t) => {
    const mails = captureMail();
    assert.deepEqual(await runOver(t, mails), { status: 'sent', to: message.to });
    assert.deepEqual(mails.sent, [{ to: message.to, subject: message.subject, text: message.body }]);
  });

  it('send_email is retried after a temporary failure and fails after a permanent one', async (t) => {
    const run = (mailer: Pick<Mailer, 'send'> | null) => runOver(t, mailer);
    const failing = (error: Error) => ({ send: () => Promise.reject(error) });
    const busy = new MailError('The mail server answered 451 at RCPT TO.', { temporary: true });
    await assert.rejects(run(failing(busy)), (error) => error === busy);
    const broken = new Error('The socket is gone.');
    await assert.rejects(run(failing(broken)), (error) => error === broken);
    const refused = new MailError('The mail server answered 550 5.1.1 at RCPT TO.', { temporary: false });
    await assert.rejects(
      run(failing(refused)),
      (error) => error instanceof TaskRejection && error.message === refused.message,
    );
    await assert.rejects(
      run(null),
      (error) => !(error instanceof TaskRejection) && /APP_SMTP_URL/.test(`${error}`),
    );
  });

  it('while the mail server fails, the job runs again later and its attempt does not count', async (t) => {
    const away = new MailError('The mail server could not be used.', {
      temporary: true,
      isServerFailure: true,
    });
    await assert.rejects(
      runOver(t, { send: () => Promise.reject(away) }),
      (error) => error instanceof TaskSnooze && error.delayMs === 60_000,
    );
  });

  const bad: [what: string, payload: unknown][] = [
    ['no address', { ...message, to: 'ada' }],
    ['two addresses', { ...message, to: 'ada@example.org, grace@example.org' }],
    ['a subject of two lines', { ...message, subject: 'Hello\r\nBcc: grace@example.org' }],
    ['no subject', { ...message, subject: '' }],
    ['no text', { ...message, body: '' }],
    ['a field of another kind', { ...message, from: 'root@example.org' }],
  ];
  for (const [what, payload] of bad) {
    it(`send_email rejects a mail with ${what}`, () => {
      assert.equal(sendEmail.payload.safeParse(payload).success, false);
    });
  }
});
