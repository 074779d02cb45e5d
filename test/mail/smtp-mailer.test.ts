import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { SMTPServerOptions } from 'smtp-server';
import { MailError, type Mailer } from '../../src/mail/mailer.ts';
import { createSmtpMailer } from '../../src/mail/smtp-mailer.ts';
import { type CapturedLog, captureLog } from '../helpers/captured-log.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { mustStartSmtpServer, smtpReply, type TestSmtpServer } from '../helpers/smtp-server.ts';
import { sourceArguments } from '../helpers/source-arguments.ts';

const mail = { to: 'ada@example.org', subject: 'Reset your password', text: 'The token is sot_abc.\n' };
const spam = smtpReply(554, '5.7.1 looks like spam');
const from = 'Strata <no-reply@example.com>';

async function mustMakeMailer(url: string): Promise<{ readonly mailer: Mailer; readonly log: CapturedLog }> {
  const log = captureLog();
  return { mailer: await createSmtpMailer({ url, from, log: log.log, timeoutMs: 2000 }), log };
}

async function mustServe(
  t: TestContext,
  options: SMTPServerOptions = {},
): Promise<{ readonly mailer: Mailer; readonly log: CapturedLog; readonly server: TestSmtpServer }> {
  const server = await mustStartSmtpServer(t, options);
  return { ...(await mustMakeMailer(`smtp://127.0.0.1:${server.port}`)), server };
}

/** Returns the error of sending, which must contain nothing of the mail. */
async function mustFail(mailer: Mailer, sent = mail): Promise<MailError> {
  try {
    await mailer.send(sent);
  } catch (error) {
    assert.ok(error instanceof MailError, `expected a MailError, got ${error}`);
    assert.doesNotMatch(`${error.stack}`, /ada|sot_|Reset your/);
    return error;
  }
  throw new Error('The mail was sent.');
}

describe('mail by SMTP', () => {
  it('a mail reaches the server as plain text from the configured sender, marked as automatic', async (t) => {
    const { mailer, server, log } = await mustServe(t);
    await mailer.send(mail);
    const [received, ...others] = server.received;
    assert.deepEqual(others, []);
    assert.equal(received?.from, 'no-reply@example.com');
    assert.deepEqual(received?.to, ['ada@example.org']);
    const source = received?.source ?? '';
    for (const line of [
      /^From: Strata <no-reply@example\.com>$/m,
      /^To: ada@example\.org$/m,
      /^Subject: Reset your password$/m,
      /^Auto-Submitted: auto-generated$/m,
      /^Content-Type: text\/plain; charset=utf-8$/m,
      /\n\nThe token is sot_abc\.\n/,
    ]) {
      assert.match(source.replaceAll('\r\n', '\n'), line);
    }
    const [line] = log.of('mail.delivered');
    assert.equal(line?.email, 'a***@example.org');
    assert.doesNotMatch(log.text(), /ada@|sot_|Reset your/);
  });

  it('the mailer signs in with the decoded user name and password of the URL', async (t) => {
    const { port, received } = await mustStartSmtpServer(t, {
      authOptional: false,
      onAuth({ username, password }, _session, callback) {
        if (password === 'p@ss:/wörd') callback(null, { user: username });
        else callback(smtpReply(535, '5.7.8 no'));
      },
    });
    const right = await mustMakeMailer(`smtp://mail%40er:p%40ss%3A%2Fw%C3%B6rd@127.0.0.1:${port}`);
    await right.mailer.send(mail);
    assert.equal(received[0]?.user, 'mail@er');
    const wrong = await mustMakeMailer(`smtp://mailer:hunter2@127.0.0.1:${port}`);
    const { message, temporary } = await mustFail(wrong.mailer);
    assert.match(message, /^The mail server answered 535 5\.7\.8 at AUTH PLAIN\.$/);
    assert.doesNotMatch(message, /hunter2/);
    assert.equal(temporary, true);
  });

  /** `server`: every mail would fail. */
  type Failure = 'permanent' | 'temporary' | 'server';
  const rejections: [what: string, options: SMTPServerOptions, codes: string, failure: Failure][] = [
    [
      'a rejected recipient is permanent',
      {
        onRcptTo: ({ address }, _session, callback) =>
          callback(smtpReply(550, `5.1.1 <${address}> is unknown`)),
      },
      '550 5.1.1 at RCPT TO',
      'permanent',
    ],
    [
      'a rejected text is permanent',
      { onData: (stream, _session, callback) => stream.resume().on('end', () => callback(spam)) },
      '554 5.7.1 at DATA',
      'permanent',
    ],
    [
      'a rejected sender is temporary, because the operator can fix it',
      { onMailFrom: (_address, _session, callback) => callback(smtpReply(553, '5.1.8 not from you')) },
      '553 5.1.8 at MAIL FROM',
      'server',
    ],
    [
      'a rejected connection is temporary, because the operator can fix it',
      { onConnect: (_session, callback) => callback(smtpReply(554, '5.7.1 listed')) },
      '554 5.7.1 at CONN',
      'server',
    ],
    [
      'a recipient that is rejected temporarily is a temporary failure of the mail',
      { onRcptTo: (_address, _session, callback) => callback(smtpReply(450, '4.2.0 greylisted')) },
      '450 4.2.0 at RCPT TO',
      'temporary',
    ],
    [
      'a server that is closing fails itself',
      { onRcptTo: (_address, _session, callback) => callback(smtpReply(421, '4.3.2 closing')) },
      '421 4.3.2 at CONN',
      'server',
    ],
    [
      'a recipient that is rejected for missing authentication is temporary',
      {
        onRcptTo: (_address, _session, callback) => callback(smtpReply(530, '5.7.0 authenticate first')),
      },
      '530 5.7.0 at RCPT TO',
      'server',
    ],
  ];
  for (const [what, options, codes, expected] of rejections) {
    it(`${what}, and the message has only the codes`, async (t) => {
      const { mailer } = await mustServe(t, options);
      const { message, temporary, isServerFailure } = await mustFail(mailer);
      assert.equal(message, `The mail server answered ${codes}.`);
      assert.equal(isServerFailure ? 'server' : temporary ? 'temporary' : 'permanent', expected);
      assert.equal(temporary, expected !== 'permanent');
    });
  }

  it('a temporary rejection of the server is a temporary failure', async (t) => {
    let attempts = 0;
    const { mailer, server } = await mustServe(t, {
      onMailFrom(_address, _session, callback) {
        attempts += 1;
        callback(attempts === 1 ? smtpReply(451, '4.7.1 come back later, ada@example.org') : null);
      },
    });
    const { message, temporary } = await mustFail(mailer);
    assert.equal(message, 'The mail server answered 451 4.7.1 at MAIL FROM.');
    assert.equal(temporary, true);
    await mailer.send(mail);
    assert.equal(server.received.length, 1);
  });

  it('a server that accepts connections but never answers causes a timeout', async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    t.after(() => silent.close());
    await new Promise((resolve) => silent.once('listening', resolve));
    const address = silent.address();
    assert.ok(typeof address === 'object' && address !== null);
    const log = captureLog();
    const url = `smtp://127.0.0.1:${address.port}`;
    const mailer = await createSmtpMailer({ url, from, log: log.log, timeoutMs: 100 });
    const { message, temporary } = await mustFail(mailer);
    assert.match(message, /^The mail server could not be used: .*\(ETIMEDOUT\)\.$/);
    assert.equal(temporary, true);
  });

  it('a server that stops answering in the middle causes a timeout', async (t) => {
    const server = await mustStartSmtpServer(t, { onMailFrom: () => {} });
    const log = captureLog();
    const url = `smtp://127.0.0.1:${server.port}`;
    const mailer = await createSmtpMailer({ url, from, log: log.log, timeoutMs: 300 });
    assert.equal((await mustFail(mailer)).temporary, true);
  });

  it('an unreachable server is a temporary failure', async () => {
    const { mailer } = await mustMakeMailer('smtp://127.0.0.1:1');
    const { message, temporary, isServerFailure } = await mustFail(mailer);
    assert.match(message, /ECONNREFUSED/);
    assert.deepEqual([temporary, isServerFailure], [true, true]);
  });
});

describe('TLS', () => {
  // Reaches this machine, but is not a loopback address.
  const elsewhere = '0.0.0.0';

  it('TLS is required of a server on another machine', async (t) => {
    const server = await mustStartSmtpServer(t);
    const { mailer } = await mustMakeMailer(`smtp://${elsewhere}:${server.port}`);
    assert.match((await mustFail(mailer)).message, /STARTTLS/);
    assert.deepEqual(server.received, []);
  });

  it('TLS needs a valid certificate', async (t) => {
    for (const [scheme, secure] of [
      ['smtp', false],
      ['smtps', true],
    ] as const) {
      const server = await mustStartSmtpServer(t, { disabledCommands: [], secure });
      const { mailer } = await mustMakeMailer(`${scheme}://${elsewhere}:${server.port}`);
      assert.match((await mustFail(mailer)).message, /certificate/, scheme);
      assert.deepEqual(server.received, []);
    }
  });

  it('TLS is not used with a relay on this machine, even if it is offered', async (t) => {
    const { mailer, server } = await mustServe(t, { disabledCommands: [] });
    await mailer.send(mail);
    assert.equal(server.received.length, 1);
  });
});

describe('header injection', () => {
  for (const [name, change] of [
    ['a line break in the subject', { subject: 'Hi\r\nBcc: eve@example.org' }],
    ['a line feed in the recipient', { to: 'ada@example.org\nBcc: eve@example.org' }],
    ['two recipients', { to: 'ada@example.org, eve@example.org' }],
    ['two addresses without a comma', { to: 'ada@example.org@example.com' }],
    ['a recipient in brackets', { to: '<eve@example.org> ada@example.org' }],
    ['a quoted recipient', { to: '"ada@example.org"@example.com' }],
    ['a group', { to: 'all:ada@example.org;' }],
  ] as const) {
    it(`a mail with ${name} is rejected`, async (t) => {
      const { mailer, server } = await mustServe(t);
      assert.equal((await mustFail(mailer, { ...mail, ...change })).temporary, false);
      assert.deepEqual(server.received, []);
    });
  }
});

it('without nodemailer, creating the mailer rejects with the npm install command', async (t) => {
  const folder = await mustMakeFolder(t);
  const root = join(import.meta.dirname, '..', '..');
  cpSync(join(root, 'src'), join(folder, 'src'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = join(folder, 'server-program.mjs');
  writeFileSync(
    program,
    `import { createSmtpMailer } from './src/mail/smtp-mailer.ts';
     createSmtpMailer({ url: 'smtp://127.0.0.1', from: 'a@b', log: {} }).catch((error) => console.log(error.name, error.message));`,
  );
  const argv = [...sourceArguments(folder), program];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { cwd: folder, encoding: 'utf8' });
  const sentence =
    'StartError APP_SMTP_URL needs the package nodemailer: run `npm install nodemailer`, or remove the setting.\n';
  assert.equal(stdout, sentence, stderr);
});
