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
  it('a token mail links to the page for its purpose, with the token in the fragment', () => {
    const reset = withPages.token('password_reset', ada, token);
    assert.ok(reset.text.includes(`\nhttps://app.example.com/account/reset-password#token=${token}\n`));
    const verification = withPages.token('email_verification', ada, token);
    assert.ok(verification.text.includes(`\nhttps://app.example.com/account/verify-email#token=${token}\n`));
  });

  it('without a public URL, a token mail contains the token and the API call', () => {
    const reset = withoutPages.token('password_reset', ada, token);
    assert.ok(reset.text.includes(`\n${token}\n`));
    assert.match(reset.text, /POST \/api\/v1\/auth\/password-reset\/confirm/);
    const verification = withoutPages.token('email_verification', ada, token);
    assert.match(verification.text, /POST \/api\/v1\/auth\/email-verification\/confirm/);
    assert.ok(!`${reset.text}${verification.text}`.includes('http'));
  });

  it('a token mail states its lifetime and what to do if the user did not request it', () => {
    assert.match(
      withPages.token('password_reset', ada, token).text,
      /valid for an hour[\s\S]*If you did not request this, do nothing/,
    );
    assert.match(withPages.token('email_verification', ada, token).text, /valid for a day[\s\S]*do nothing/);
  });

  it('a token mail goes to the address of the user, with the service in the subject', () => {
    const { to, subject } = withPages.token('password_reset', ada, token);
    assert.deepEqual([to, subject], ['ada@example.org', 'Strata: Set a new password']);
  });
});

describe('a notice', () => {
  it('a notice of a new password explains how to recover the account', () => {
    assert.equal(withPages.passwordChanged(ada).to, ada.email);
    assert.match(
      withPages.passwordChanged(ada).text,
      /set a new password now: https:\/\/app\.example\.com\/account/,
    );
    assert.match(withoutPages.passwordChanged(ada).text, /POST \/api\/v1\/auth\/password-reset\./);
  });

  it('a notice of a reset lists what was revoked, and the token mail warns of it', () => {
    const { to, text } = withPages.passwordReset(ada);
    assert.equal(to, ada.email);
    assert.match(text, /signed out everywhere, and all API keys[\s\S]*set a new password now: https:/);
    assert.match(withPages.token('password_reset', ada, token).text, /revokes your API keys/);
    assert.doesNotMatch(withPages.token('email_verification', ada, token).text, /API keys/);
  });

  it('a notice of a new address goes to the previous one and masks the new one', () => {
    const { to, text } = withPages.emailChanged({ ...ada, email: 'countess@example.net' }, ada.email);
    assert.equal(to, ada.email);
    assert.match(text, /c\*\*\*@example\.net/);
    assert.ok(!text.includes('countess'));
  });
});
