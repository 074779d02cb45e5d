import { AppError } from '../../../errors.ts';
import { invalidField } from '../../../http/validate.ts';

/** The same sentence for every invalid token, so that it reveals nothing about the tokens of others. */
export function uselessToken(): AppError {
  return invalidField('/token', 'This token is invalid or has expired: request a new one.');
}

/** Throws an AppError `mail_disabled` if mail is disabled. */
export function assertMailEnabled({ enabled }: { readonly enabled: boolean }): void {
  if (enabled) return;
  throw new AppError('mail_disabled', 'This server cannot send mail: ask its operator to set APP_SMTP_URL.');
}

export function tooMuchMail(): AppError {
  return new AppError('not_ready', 'Too many mails are being prepared: try again shortly.', {
    headers: { 'retry-after': '5' },
  });
}
