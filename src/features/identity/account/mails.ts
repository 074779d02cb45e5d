import type { Mail } from '../../../mail/mailer.ts';
import { maskEmail } from '../../../observability/log/redact.ts';
import type { Purpose } from './store.ts';

export interface MailsOptions {
  /** The name of the service. */
  readonly service: string;
  /** The base URL of links; empty if there are no pages to link to. */
  readonly publicUrl: string;
  /** The prefix of the API's paths, such as `/api/v1`. */
  readonly prefix: string;
}

export interface Recipient {
  readonly username: string;
  readonly email: string;
}

/** Composes the mails. */
export interface Mails {
  /** A mail with a token. */
  token(purpose: Purpose, to: Recipient, token: string): Mail;
  passwordChanged(to: Recipient): Mail;
  /** A notice after a reset, which also revoked the API keys. */
  passwordReset(to: Recipient): Mail;
  /** A notice to the previous address. */
  emailChanged(user: Recipient, formerEmail: string): Mail;
}

const tokenMails = {
  password_reset: {
    subject: 'Set a new password',
    intro: 'a new password was requested for',
    lasts: 'an hour',
    page: '/reset-password',
    call: '/auth/password-reset/confirm with the fields "token" and "new_password"',
    effect: ['It signs you out everywhere and revokes your API keys.'],
    otherwise: 'If you did not request this, do nothing: your password does not change.',
  },
  email_verification: {
    subject: 'Confirm your e-mail address',
    intro: 'please confirm that this is the e-mail address of',
    lasts: 'a day',
    page: '/verify-email',
    call: '/auth/email-verification/confirm with the field "token"',
    effect: [],
    otherwise: 'If you have no such account, do nothing: the address stays unconfirmed.',
  },
} as const;

export function createMails({ service, publicUrl, prefix }: MailsOptions): Mails {
  const compose = (to: string, subject: string, username: string, paragraphs: readonly string[]): Mail => ({
    to,
    subject: `${service}: ${subject}`,
    text: `${[`Hello ${username},`, ...paragraphs, service].join('\n\n')}\n`,
  });
  const ifNotYou = `If it was not you, set a new password now${
    publicUrl === '' ? `: send your address to POST ${prefix}/auth/password-reset.` : `: ${publicUrl}`
  }`;

  return {
    token(purpose, { username, email }, token) {
      const { subject, intro, lasts, page, call, effect, otherwise } = tokenMails[purpose];
      // After a "#" the token is not sent to the server of the page, so that server cannot log it.
      const use =
        publicUrl === ''
          ? [`This token is valid for ${lasts} and for one use:`, token, `Send it to POST ${prefix}${call}.`]
          : [`This link is valid for ${lasts} and for one use:`, `${publicUrl}${page}#token=${token}`];
      return compose(email, subject, username, [
        `${intro} your account at ${service}.`,
        ...use,
        ...effect,
        otherwise,
      ]);
    },

    passwordChanged({ username, email }) {
      return compose(email, 'Your password was changed', username, [
        `the password of your account at ${service} was changed.`,
        ifNotYou,
      ]);
    },

    passwordReset({ username, email }) {
      return compose(email, 'Your password was changed', username, [
        `the password of your account at ${service} was reset with a token from this mailbox.`,
        'You are signed out everywhere, and all API keys of the account are revoked: programs need new ones.',
        ifNotYou,
      ]);
    },

    emailChanged({ username, email }, formerEmail) {
      return compose(formerEmail, 'Your e-mail address was changed', username, [
        `the e-mail address of your account at ${service} was changed to ${maskEmail(email)}, and this address gets no further mails.`,
        'If it was not you, another person knows your password: contact the operator of the service.',
      ]);
    },
  };
}
