import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { sendEmail } from '../../../src/features/mails/mails.ts';
import { sendEmailTask } from '../../../src/features/mails/tasks.ts';
import { type TaskContext, TaskRefusal } from '../../../src/jobs/task.ts';
import { MailError, type Mailer } from '../../../src/mail/mailer.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { captureMail } from '../../helpers/captured-mail.ts';
import { mustConnect } from '../../helpers/test-database.ts';

const letter = { to: 'ada@example.org', subject: 'Welcome!', body: 'Welcome to our service.' };

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
  return sendEmailTask(mailer).run(letter, ctx);
}

describe('the task send_email', () => {
  it('hands the mail to the mailer, and tells to whom it was sent', async (t) => {
    const mails = captureMail();
    assert.deepEqual(await runOver(t, mails), { status: 'sent', to: letter.to });
    assert.deepEqual(mails.sent, [{ to: letter.to, subject: letter.subject, text: letter.body }]);
  });

  it('is tried again after what may be mended, and given up after what may not', async (t) => {
    const run = (mailer: Pick<Mailer, 'send'> | null) => runOver(t, mailer);
    const failing = (error: Error) => ({ send: () => Promise.reject(error) });
    const busy = new MailError('The mail server answered 451 at RCPT TO.', { temporary: true });
    await assert.rejects(run(failing(busy)), (error) => error === busy);
    const broken = new Error('The socket is gone.');
    await assert.rejects(run(failing(broken)), (error) => error === broken);
    const refused = new MailError('The mail server answered 550 5.1.1 at RCPT TO.', { temporary: false });
    await assert.rejects(
      run(failing(refused)),
      (error) => error instanceof TaskRefusal && error.message === refused.message,
    );
    await assert.rejects(
      run(null),
      (error) => !(error instanceof TaskRefusal) && /APP_SMTP_URL/.test(`${error}`),
    );
  });

  const bad: [what: string, payload: unknown][] = [
    ['no address', { ...letter, to: 'ada' }],
    ['two addresses', { ...letter, to: 'ada@example.org, grace@example.org' }],
    ['a subject of two lines', { ...letter, subject: 'Hello\r\nBcc: grace@example.org' }],
    ['no subject', { ...letter, subject: '' }],
    ['no text', { ...letter, body: '' }],
    ['a field of another kind', { ...letter, from: 'root@example.org' }],
  ];
  for (const [what, payload] of bad) {
    it(`takes no mail with ${what}`, () => {
      assert.equal(sendEmail.payload.safeParse(payload).success, false);
    });
  }
});
