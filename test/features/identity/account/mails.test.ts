import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createOneTimeToken } from '../../../../src/auth/one-time-token.ts';
import { createMails } from '../../../../src/features/identity/account/mails.ts';

const ada = { username: 'ada_lovelace', email: 'ada@example.org' };
const site = { service: 'Strata', prefix: '/api/v1' };
const withPages = createMails({ ...site, publicUrl: 'https://app.example.com/account' });
const withoutPages = createMails({ ...site, publicUrl: '' });
const { token } = createOneTimeToken();

describe('a mail with a token', () => {
  it('links to the page for its purpose, with the token where it reaches no server', () => {
    const reset = withPages.token('password_reset', ada, token);
    assert.ok(reset.text.includes(`\nhttps://app.example.com/account/reset-password#token=${token}\n`));
    const verification = withPages.token('email_verification', ada, token);
    assert.ok(verification.text.includes(`\nhttps://app.example.com/account/verify-email#token=${token}\n`));
  });

  it('names the token and the call that takes it where there are no pages', () => {
    const reset = withoutPages.token('password_reset', ada, token);
    assert.ok(reset.text.includes(`\n${token}\n`));
    assert.match(reset.text, /POST \/api\/v1\/auth\/password-reset\/confirm/);
    const verification = withoutPages.token('email_verification', ada, token);
    assert.match(verification.text, /POST \/api\/v1\/auth\/email-verification\/confirm/);
    assert.ok(!`${reset.text}${verification.text}`.includes('http'));
  });

  it('says how long it is good for, and what to do if one did not ask for it', () => {
    assert.match(
      withPages.token('password_reset', ada, token).text,
      /valid for an hour[\s\S]*If you did not request this, do nothing/,
    );
    assert.match(withPages.token('email_verification', ada, token).text, /valid for a day[\s\S]*do nothing/);
  });

  it('goes to the address of the user, with the service in the subject', () => {
    const { to, subject } = withPages.token('password_reset', ada, token);
    assert.deepEqual([to, subject], ['ada@example.org', 'Strata: Set a new password']);
  });
});

describe('a notice', () => {
  it('of a new password says how to get the account back', () => {
    assert.equal(withPages.passwordChanged(ada).to, ada.email);
    assert.match(
      withPages.passwordChanged(ada).text,
      /set a new password now: https:\/\/app\.example\.com\/account/,
    );
    assert.match(withoutPages.passwordChanged(ada).text, /POST \/api\/v1\/auth\/password-reset\./);
  });

  it('of a reset says what has ended with the old password, of which the mail with the token warns', () => {
    const { to, text } = withPages.passwordReset(ada);
    assert.equal(to, ada.email);
    assert.match(text, /signed out everywhere, and all API keys[\s\S]*set a new password now: https:/);
    assert.match(withPages.token('password_reset', ada, token).text, /revokes your API keys/);
    assert.doesNotMatch(withPages.token('email_verification', ada, token).text, /API keys/);
  });

  it('of a new address goes to the former one, and does not give the new one away', () => {
    const { to, text } = withPages.emailChanged({ ...ada, email: 'countess@example.net' }, ada.email);
    assert.equal(to, ada.email);
    assert.match(text, /c\*\*\*@example\.net/);
    assert.ok(!text.includes('countess'));
  });
});
