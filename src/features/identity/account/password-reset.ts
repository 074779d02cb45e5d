import { hashOneTimeToken } from '../../../auth/one-time-token.ts';
import { findPasswordError } from '../../../auth/strength/password-policy.ts';
import { clientKey } from '../../../http/connection/addresses.ts';
import { invalidField } from '../../../http/validate.ts';
import { currentRequest } from '../../../observability/request-context.ts';
import { assertMailEnabled, tooMuchMail, uselessToken } from './account-errors.ts';
import type { AccountParts } from './account-parts.ts';
import { endTokens, findOwnerByEmail, findTokenOwner, setPassword, takeToken, verifyEmail } from './store.ts';

/** Both operations take the address of the client, for the log and for `attempts`. */
export interface PasswordReset {
  /**
   * Mails a token to the user with this e-mail address, without revealing whether there is one. Rejects with
   * `mail_disabled` if mail is disabled, and with `not_ready` if too many mails are being prepared.
   */
  requestReset(request: { readonly email: string; readonly address: string }): Promise<void>;
  /**
   * Sets a new password with a mailed token, and ends all sessions and API keys. Rejects with `validation_failed` for an
   * invalid token or a forbidden password, and with `not_ready` if too many passwords are being hashed.
   */
  confirmReset(reset: {
    readonly token: string;
    readonly newPassword: string;
    readonly address: string;
  }): Promise<void>;
}

const purpose = 'password_reset';

/** How long a request waits for the database to answer a ping. */
const databaseMs = 2000;

export function createPasswordReset(parts: AccountParts): PasswordReset {
  const { database, passwords, attempts, auth, apiKeys, mail, mails, mailToken, inBackground, log } = parts;
  const { sql } = database;

  return {
    async requestReset({ email, address }) {
      assertMailEnabled(mail);
      // Rejects while the database is down. It takes the same time for all addresses, so it does not reveal which of them exist.
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
      // The owner will sign in from this address next, and must not be delayed by other people's wrong passwords.
      await attempts.succeeded(owner, address);
      const ended = await database.transaction(async (tx) => {
        if (!(await takeToken(tx, tokenHash, purpose))) throw uselessToken();
        await setPassword(tx, owner.id, passwordHash);
        await verifyEmail(tx, owner.id);
        await endTokens(tx, owner.id);
        // Everyone who had access before, with or without a password, loses it.
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
