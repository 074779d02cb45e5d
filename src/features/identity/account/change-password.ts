import type { SessionPrincipal } from '../../../auth/principal.ts';
import { findPasswordError } from '../../../auth/strength/password-policy.ts';
import { AppError } from '../../../errors.ts';
import { clientKey } from '../../../http/connection/addresses.ts';
import { invalidField } from '../../../http/validate.ts';
import { currentRequest } from '../../../observability/request-context.ts';
import type { Client, RenewedSession } from '../auth/auth.ts';
import type { AccountParts } from './account-parts.ts';
import { endTokens, findOwner, type Owner, replacePassword } from './store.ts';

export interface PasswordChange {
  readonly currentPassword: string;
  readonly newPassword: string;
  readonly client: Client;
}

/**
 * Sets a new password for the caller, ends all sessions, and opens a new one for the caller. Rejects with
 * `validation_failed` for a wrong current password or a forbidden new one, `rate_limited` after many attempts, `not_found`
 * if the account was deleted, and `not_ready` if too many passwords are being hashed.
 */
export type ChangePassword = (caller: SessionPrincipal, change: PasswordChange) => Promise<RenewedSession>;

export function createChangePassword(parts: AccountParts): ChangePassword {
  const { database, passwords, attempts, auth, mail, mails, log } = parts;

  return async function changePassword(caller, { currentPassword, newPassword, client }) {
    const { userId } = caller;
    const { address } = client;
    const work = { signal: currentRequest()?.signal, source: clientKey(address) };
    const owner = found(await findOwner(database.sql, userId));
    const error = findPasswordError(newPassword, { ...owner, service: parts.service });
    if (error !== undefined) throw invalidField('/new_password', error);
    // Without a limit, a stolen session could be used to guess the password.
    await attempts.underPermit({ userId, address }, () => compare(owner));
    await attempts.succeeded(owner, address);

    const passwordHash = await passwords.hash(newPassword, work);
    let renewed = await replace(owner);
    while (renewed === undefined)
      renewed = await replace(await compare(found(await findOwner(database.sql, userId))));
    renewed.committed();
    log.info('auth.password.changed', { user_id: userId, client_address: address });
    // An unverified address may belong to another person, who must not get mails about this account.
    if (owner.verified) mail.post(mails.passwordChanged(owner));
    return renewed;

    async function compare(compared: Owner): Promise<Owner> {
      if (await passwords.verify(currentPassword, compared.password_hash, work)) return compared;
      log.warning('auth.password.change_refused', { user_id: userId, client_address: address });
      throw invalidField(
        '/current_password',
        'This is not the current password: check it, or reset the password.',
      );
    }

    /** Resolves with undefined if the hash has changed since it was compared, by a login that renewed it or by another change. */
    function replace(compared: Owner): Promise<RenewedSession | undefined> {
      return database.transaction(async (tx) => {
        if (!(await replacePassword(tx, compared, passwordHash))) return undefined;
        await auth.requireAuthority(tx, caller);
        await endTokens(tx, userId, 'password_reset');
        return auth.renewSession(tx, caller, { client, reason: 'password_changed' });
      });
    }
  };
}

function found(owner: Owner | undefined): Owner {
  if (owner === undefined) throw new AppError('not_found', 'Your account was deleted: register again.');
  return owner;
}
