import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createFileMailer } from '../../src/mail/file-mailer.ts';
import { MailError } from '../../src/mail/mailer.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { mustMakeFolder } from '../helpers/program.ts';

const mail = { to: 'ada@example.org', subject: 'Confirm your address', text: 'The token is sot_abc.' };

describe('mail to files', () => {
  it('a mail becomes a text file readable only by its owner, and the log names the file without its content', async (t) => {
    const folder = join(await mustMakeFolder(t), 'mail');
    const log = captureLog();
    const mailer = createFileMailer({ folder, from: 'Strata <no-reply@localhost>', log: log.log });
    await mailer.send(mail);
    const [line] = log.of('mail.delivered');
    const file = String(line?.file);
    assert.match(
      readFileSync(file, 'utf8'),
      /^Date: .* GMT\nFrom: Strata <no-reply@localhost>\nTo: ada@example\.org\nSubject: Confirm your address\n\nThe token is sot_abc\.\n$/,
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(line?.email, 'a***@example.org');
    assert.doesNotMatch(log.text(), /ada@|sot_|Confirm/);
  });

  it('concurrent mails become separate files that sort by time', async (t) => {
    const folder = await mustMakeFolder(t);
    const mailer = createFileMailer({ folder, from: 'a@b', log: captureLog().log });
    await Promise.all(Array.from({ length: 20 }, () => mailer.send(mail)));
    const names = readdirSync(folder);
    assert.equal(names.length, 20);
    for (const name of names) assert.match(name, /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z-[0-9a-f]{6}\.txt$/);
  });

  it('the file mailer rejects what the SMTP mailer rejects', async (t) => {
    const folder = await mustMakeFolder(t);
    const mailer = createFileMailer({ folder, from: 'a@b', log: captureLog().log });
    await assert.rejects(mailer.send({ ...mail, subject: 'a\nb' }), MailError);
    await assert.rejects(mailer.send({ ...mail, to: 'ada@example.org,eve@example.org' }), MailError);
    assert.deepEqual(readdirSync(folder), []);
  });
});
