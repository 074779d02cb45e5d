import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { createMailCircuits } from '../../src/mail/guarded-mailer.ts';
import { createMailQueue, noMail } from '../../src/mail/mail-queue.ts';
import { type Mail, MailError, type Mailer } from '../../src/mail/mailer.ts';
import { createSmtpMailer } from '../../src/mail/smtp-mailer.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { currentRequest, runInRequest } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { captureMail } from '../helpers/captured-mail.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartSmtpServer, smtpReply } from '../helpers/smtp-server.ts';

const mail: Mail = { to: 'ada@example.org', subject: 'Reset your password', text: 'The token is sot_abc.' };
const soon = { baseMs: 1, maxMs: 2 };
const hours = { baseMs: 10_000_000, maxMs: 10_000_000 };

const temporary = () => new MailError('Not now.', { temporary: true });
const permanent = () => new MailError('Never.', { temporary: false });

/** Creates a mailer that calls `act` with the number of the attempt, from 1, and counts its calls. */
function actor(act: (attempt: number, mail: Mail) => Promise<void> | void) {
  const state = { attempts: 0, closed: 0 };
  const mailer: Mailer = {
    async send(sent) {
      state.attempts += 1;
      await act(state.attempts, sent);
    },
    async close() {
      state.closed += 1;
    },
  };
  return { mailer, state };
}

describe('a posted mail', () => {
  it('a posted mail is sent without delaying the caller', async () => {
    const mails = captureMail();
    const queue = createMailQueue({ mailer: mails, log: captureLog().log });
    assert.equal(queue.enabled, true);
    assert.equal(queue.post(mail), undefined);
    assert.deepEqual(await mails.mustReceive('ada@example.org'), mail);
    await queue.stop(1000);
  });

  it('a mail that the server rejects temporarily is delivered by a retry', async (t) => {
    let attempts = 0;
    const server = await mustStartSmtpServer(t, {
      onRcptTo(_address, _session, callback) {
        attempts += 1;
        callback(attempts === 1 ? smtpReply(451, '4.2.1 ada@example.org is busy') : null);
      },
    });
    const log = captureLog();
    const url = `smtp://127.0.0.1:${server.port}`;
    const mailer = await createSmtpMailer({ url, from: 'a@example.com', log: log.log });
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon });
    queue.post(mail);
    await eventually('the mail arrives', () => server.received.length === 1);
    await queue.stop(1000);
    const lines = log.lines().map(({ event, email, reason, level }) => ({ event, email, reason, level }));
    assert.deepEqual(lines[0], {
      event: 'mail.deferred',
      email: 'a***@example.org',
      reason: 'The mail server answered 451 4.2.1 at RCPT TO.',
      level: 'warning',
    });
    assert.equal(lines[1]?.event, 'mail.delivered');
    assert.equal(lines.length, 2);
  });

  it('a mail fails after three attempts, with one error line without its text', async () => {
    const { mailer, state } = actor(() => Promise.reject(temporary()));
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon });
    queue.post(mail);
    await eventually('the mail failed', () => log.of('mail.failed').length === 1);
    assert.equal(state.attempts, 3);
    assert.equal(log.of('mail.deferred').length, 2);
    const [line] = log.of('mail.failed');
    assert.deepEqual([line?.level, line?.email, line?.reason], ['error', 'a***@example.org', 'Not now.']);
    assert.doesNotMatch(log.text(), /ada@|sot_|Reset your/);
  });

  it('a mail with a permanent failure is attempted once', async () => {
    const { mailer, state } = actor(() => Promise.reject(permanent()));
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon });
    queue.post(mail);
    await eventually('the mail failed', () => log.of('mail.failed').length === 1);
    assert.equal(state.attempts, 1);
  });

  it('an unexpected error of the mailer is logged without its message', async () => {
    const { mailer } = actor(() => Promise.reject(new Error(`cannot send ${mail.text} to ${mail.to}`)));
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon });
    queue.post(mail);
    await eventually('the mail failed', () => log.of('mail.failed').length === 1);
    assert.doesNotMatch(log.text(), /ada@|sot_/);
  });

  it('a mail outlives its request, and its log lines have the request id', async () => {
    const ended = new AbortController();
    const retried = createDeferred<boolean>();
    const { mailer } = actor((attempt) => {
      if (attempt === 1) throw temporary();
      retried.resolve(currentRequest()?.signal.aborted ?? true);
    });
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon });
    runInRequest({ id: 'r-1', signal: ended.signal }, () => queue.post(mail));
    ended.abort();
    assert.equal(await retried.promise, false);
    assert.equal(log.of('mail.deferred')[0]?.request_id, 'r-1');
  });
});

describe('many posted mails', () => {
  const numbered = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ ...mail, subject: String(index) }));

  it('many mails are sent a few at a time, in order, and each once', async () => {
    const gate = createDeferred();
    let sending = 0;
    let max = 0;
    const subjects: string[] = [];
    const { mailer } = actor(async (_attempt, { subject }) => {
      subjects.push(subject);
      sending += 1;
      max = Math.max(max, sending);
      await gate.promise;
      sending -= 1;
    });
    const queue = createMailQueue({ mailer, log: captureLog().log, concurrency: 3 });
    for (const each of numbered(20)) queue.post(each);
    assert.equal(sending, 3);
    gate.resolve();
    await eventually('all are sent', () => subjects.length === 20 && sending === 0);
    assert.equal(max, 3);
    assert.deepEqual(
      subjects,
      numbered(20).map(({ subject }) => subject),
    );
  });

  it('deferred mails do not delay other mails', async () => {
    const sent: string[] = [];
    const { mailer } = actor((_attempt, { subject }) => {
      if (subject === '0') throw temporary();
      sent.push(subject);
    });
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, concurrency: 1, backoff: hours });
    for (const each of numbered(3)) queue.post(each);
    await eventually('the others are sent', () => sent.length === 2);
    await queue.stop(1000);
  });

  it('mails beyond the capacity fail immediately, and capacity becomes free again', async () => {
    const gate = createDeferred();
    const { mailer, state } = actor(() => gate.promise);
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, capacity: 2 });
    for (const each of numbered(3)) queue.post(each);
    assert.equal(log.of('mail.failed')[0]?.reason, 'Too many mails are waiting.');
    gate.resolve();
    await eventually('there is room', () => {
      queue.post(mail);
      return state.attempts === 3;
    });
  });
});

describe('a mail server that fails', () => {
  const serverFailure = () =>
    new MailError('The mail server could not be used.', { temporary: true, isServerFailure: true });
  const makeCircuits = (log: ReturnType<typeof captureLog>['log']) =>
    createMailCircuits({ log, metrics: createCircuitMetrics(createMetrics()), openMs: 5 });

  it('mails wait without using up their attempts, take turns as the trial, and are all sent afterwards', async () => {
    let isAway = false;
    let running = 0;
    let maxRunning = 0;
    const sent: string[] = [];
    const { mailer, state } = actor(async (_attempt, { to }) => {
      running += 1;
      maxRunning = Math.max(maxRunning, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (isAway) throw serverFailure();
      sent.push(to);
    });
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon, circuits: makeCircuits(log.log) });
    for (let nth = 0; nth < 50; nth += 1) queue.post({ ...mail, to: `before${nth}@example.org` });
    await eventually('many mails have been sent', () => sent.length === 50);
    sent.length = 0;
    isAway = true;
    const recipients = Array.from({ length: 12 }, (_, nth) => `user${nth}@example.org`);
    for (const to of recipients) queue.post({ ...mail, to });
    await eventually('the circuit is open', () => log.of('circuit.opened').length === 1);
    assert.equal(log.of('circuit.opened')[0]?.reason, 'The mail server could not be used.');
    const before = state.attempts;
    maxRunning = 0;
    await eventually('more trials than a mail has attempts have failed', () => state.attempts > before + 12);
    assert.equal(maxRunning, 1);
    isAway = false;
    await eventually('all are sent', () => sent.length === recipients.length);
    assert.deepEqual([...sent].sort(), [...recipients].sort());
    assert.deepEqual([log.of('mail.failed').length, log.of('circuit.closed').length], [0, 1]);
    await queue.stop(1000);
  });

  it('a mail whose token has expired meanwhile fails with the reason', async () => {
    const { mailer } = actor(() => Promise.reject(serverFailure()));
    const log = captureLog();
    const circuits = makeCircuits(log.log);
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon, circuits, maxHeldMs: 20 });
    queue.post(mail);
    await eventually('the mail failed', () => log.of('mail.failed').length === 1);
    await queue.stop(1000);
  });

  it('a stopping queue tries the waiting mails at once', async () => {
    let isAway = true;
    const { mailer } = actor(() => {
      if (isAway) throw serverFailure();
    });
    const log = captureLog();
    const metrics = createCircuitMetrics(createMetrics());
    const circuits = createMailCircuits({ log: log.log, metrics, openMs: 10_000_000 });
    const queue = createMailQueue({ mailer, log: log.log, backoff: soon, circuits });
    for (const to of ['ada@example.org', 'bob@example.org']) queue.post({ ...mail, to });
    await eventually('the circuit is open', () => log.of('circuit.opened').length === 1);
    isAway = false;
    await queue.stop(5000);
    assert.deepEqual(log.of('mail.failed'), []);
  });
});

describe('mails to unconfirmed addresses', () => {
  const to = (name: string): Mail => ({ ...mail, to: `${name}@example.org` });
  const strangers = (count: number) => Array.from({ length: count }, (_, nth) => to(`stranger${nth}`));

  it('a mail of an account is sent while 1,000 unconfirmed mails wait', async () => {
    const gate = createDeferred();
    const sent: string[] = [];
    const { mailer } = actor(async (_attempt, { to: recipient }) => {
      if (recipient.startsWith('stranger')) await gate.promise;
      sent.push(recipient);
    });
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log });
    for (const each of strangers(1000)) queue.post(each, 'unconfirmed');
    queue.post(to('ada'));
    await eventually('the mail of the account is sent', () => sent.includes('ada@example.org'));
    assert.deepEqual(sent, ['ada@example.org']);
    assert.ok(log.of('mail.failed').every(({ email }) => String(email).startsWith('s***')));
    assert.equal(log.of('mail.failed').length, 500);
    gate.resolve();
    await queue.stop(5000);
  });

  it('unconfirmed mails are sent while mails of accounts keep arriving', async () => {
    const sent: string[] = [];
    const { mailer } = actor(async (_attempt, { to: recipient }) => void sent.push(recipient));
    const queue = createMailQueue({ mailer, log: captureLog().log, concurrency: 1 });
    for (let nth = 0; nth < 20; nth += 1) queue.post(to(`user${nth}`));
    queue.post(to('stranger'), 'unconfirmed');
    await queue.stop(5000);
    assert.ok(sent.indexOf('stranger@example.org') < 6, sent.join());
  });
});

it('one recipient cannot use the capacity of others, and recipients take turns', async () => {
  const gate = createDeferred();
  const sent: string[] = [];
  const { mailer } = actor(async (_attempt, { to }) => {
    await gate.promise;
    sent.push(to);
  });
  const log = captureLog();
  const queue = createMailQueue({ mailer, log: log.log, concurrency: 1, capacity: 100 });
  for (let nth = 0; nth < 100; nth += 1) queue.post(mail);
  queue.post({ ...mail, to: 'bob@example.org' });
  assert.deepEqual(
    log.of('mail.failed').map(({ reason }) => reason),
    Array.from({ length: 90 }, () => 'Too many mails to this recipient are waiting.'),
  );
  gate.resolve();
  await queue.stop(5000);
  assert.equal(sent.indexOf('bob@example.org'), 2);
});

describe('stopping', () => {
  it('a stopping queue waits for the mail that is being sent, then closes the mailer once', async () => {
    const gate = createDeferred();
    const { mailer, state } = actor(() => gate.promise);
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log });
    queue.post(mail);
    const stopped = Promise.all([queue.stop(5000), queue.stop(5000)]);
    assert.equal(state.closed, 0);
    gate.resolve();
    await stopped;
    assert.equal(state.closed, 1);
    assert.deepEqual(log.lines(), []);
  });

  it('a stopping queue retries a deferred mail immediately', async () => {
    const { mailer, state } = actor((attempt) => {
      if (attempt === 1) throw temporary();
    });
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, backoff: hours });
    queue.post(mail);
    await eventually('the mail is deferred', () => log.of('mail.deferred').length === 1);
    await queue.stop(5000);
    assert.equal(state.attempts, 2);
    assert.deepEqual(log.of('mail.failed'), []);
  });

  it('a stopping queue gives up when its time is up, and logs the lost mails', async () => {
    const gate = createDeferred();
    const { mailer, state } = actor(() => gate.promise);
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log, concurrency: 1 });
    queue.post(mail);
    queue.post({ ...mail, to: 'bob@example.org' });
    await queue.stop(20);
    assert.equal(state.closed, 1);
    assert.deepEqual(
      log.of('mail.failed').map(({ email }) => email),
      ['a***@example.org', 'b***@example.org'],
    );
    gate.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(state.attempts, 1, 'a mail that was given up was sent');
  });

  it('a stopped queue accepts no mails', async () => {
    const { mailer, state } = actor(() => {});
    const log = captureLog();
    const queue = createMailQueue({ mailer, log: log.log });
    await queue.stop(1000);
    queue.post(mail);
    assert.equal(state.attempts, 0);
    assert.equal(log.of('mail.failed').length, 1);
  });
});

it('a queue without a transport is not enabled and ignores mails', async () => {
  assert.equal(noMail.enabled, false);
  noMail.post(mail);
  await noMail.stop(0);
});
