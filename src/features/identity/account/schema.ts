import * as z from 'zod';
import { passwordLength } from '../../../auth/strength/password-policy.ts';
import { email, text } from '../../../http/body/fields.ts';

const newPassword = text(passwordLength).meta({
  description: 'Must not be a common password or derived from the username or the e-mail address.',
  format: 'password',
  example: 'correct horse battery staple',
});

/** Any password, because it may have been set before the current rules. */
const currentPassword = text({ min: 1, max: 512 }).meta({ format: 'password', example: 'a former password' });

/** The form of a token is checked later, because every invalid token gets the same response. */
const token = text({ min: 1, max: 200 }).meta({ description: 'The token from the mail.', example: 'sot_…' });

export const passwordChange = z
  .strictObject({ current_password: currentPassword, new_password: newPassword })
  .meta({ id: 'PasswordChange' });

export const passwordResetRequest = z
  .strictObject({
    email: email.meta({ description: `The address of the account. ${email.meta()?.description}` }),
  })
  .meta({ id: 'PasswordResetRequest' });

export const passwordReset = z
  .strictObject({ token, new_password: newPassword })
  .meta({ id: 'PasswordReset' });

export const emailVerification = z.strictObject({ token }).meta({ id: 'EmailVerification' });

/** The response to a request for a mail. */
export const mailRequested = z
  .object({ detail: z.string().meta({ description: 'The next step.', maxLength: 200 }) })
  .meta({ id: 'MailRequested' });
