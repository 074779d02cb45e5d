import { hashOneTimeToken } from '../../../auth/one-time-token.ts';
import { findPasswordError } from '../../../auth/password-policy.ts';
import { clientKey } from '../../../http/addresses.ts';
import { invalidField } from '../../../http/validate.ts';
import { currentRequest } from '../../../observability/request-context.ts';
import type { AccountParts } from './account-parts.ts';
import { assertMailEnabled, tooMuchMail, uselessToken } from './refusals.ts';
import { endTokens, findOwnerByEmail, findTokenOwner, setPassword, takeToken, verifyEmail } from './store.ts';

/** The address of the client stands in both, for the log and for `attempts`. */
export interface PasswordReset {
  /**
   * Mails a token to whoever has this e-mail address; nobody is told whether somebody has. Rejects with `mail_disabled`
   * if no mail can be sent, and with `not_ready` if too many are being made.
   */
  requestReset(request: { readonly email: string; readonly address: string }): Promise<void>;
  /**
   * Sets a new password with a mailed token, and ends all sessions and API keys. Rejects with `validation_failed` for a token that is
   * not good and for a password that is not taken, and with `not_ready` if too many passwords are being worked on.
   */
  confirmReset(reset: {
    readonly token: string;
    readonly newPassword: string;
    readonly address: string;
  }): Promise<void>;
}

const purpose = 'password_reset';

/** How long a request waits to hear that the database is there at all. */
const databaseMs = 2000;

export function createPasswordReset(parts: AccountParts): PasswordReset {
  const { database, passwords, attempts, auth, apiKeys, mail, mails, mailToken, inBackground, log } = parts;
  const { sql } = database;

  return {
    async requestReset({ email, address }) {
      assertMailEnabled(mail);
      // Worth waiting for, since it takes the same for all addresses.
      await database.ping(databaseMs);
      const accepted = inBackground(async () => {
        const owner = await findOwnerByEmail(sql, email);
        const mailed = owner !== undefined && (await mailToken(owner.id, purpose));
        log.info('auth.password.reset_requested', { user_id: owner?.id, mailed, client_address: address });
      });
      if (!accepted) throw tooMuchMail();
    },

    async confirmReset({ token, newPassword, address }) {
      const tokenHash = hashOneTimeToken(token);
      const owner = tokenHash && (await findTokenOwner(sql, tokenHash, purpose));
      if (tokenHash === undefined || owner === undefined) throw uselessToken();
      const error = findPasswordError(newPassword, { ...owner, service: parts.service });
      if (error !== undefined) throw invalidField('/new_password', error);
      const passwordHash = await passwords.hash(newPassword, {
        signal: currentRequest()?.signal,
        source: clientKey(address),
      });
      // The owner signs in from here next, whoever guesses meanwhile.
      await attempts.succeeded(owner, address);
      const ended = await database.transaction(async (tx) => {
        if (!(await takeToken(tx, tokenHash, purpose))) throw uselessToken();
        await setPassword(tx, owner.id, passwordHash);
        await verifyEmail(tx, owner.id);
        await endTokens(tx, owner.id);
        // Whoever was in the account before, with a password or without, is out.
        return [
          await auth.endUserSessions(tx, owner.id, { reason: 'password_reset' }),
          await apiKeys.revokeAll(tx, owner.id),
        ];
      });
      for (const committed of ended) committed();
      log.info('auth.password.reset', { user_id: owner.id, client_address: address });
      mail.post(mails.passwordReset(owner));
    },
  };
}
