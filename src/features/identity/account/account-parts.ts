import type { PasswordHasher } from '../../../auth/password.ts';
import type { Database } from '../../../db/database.ts';
import type { MailQueue } from '../../../mail/mail-queue.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { ApiKeys } from '../api-keys/api-keys.ts';
import type { Attempts } from '../attempts/attempts.ts';
import type { Auth } from '../auth/auth.ts';
import type { InBackground } from './background.ts';
import type { MailToken } from './mail-token.ts';
import type { Mails, MailsOptions } from './mails.ts';

export interface AccountOptions extends MailsOptions {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly attempts: Attempts;
  readonly auth: Pick<Auth, 'endUserSessions' | 'renewSession' | 'requireAuthority'>;
  readonly apiKeys: Pick<ApiKeys, 'revokeAll'>;
  readonly mail: MailQueue;
  readonly log: Logger;
}

/** The options, and the services that are made from them once for all flows of the account. */
export interface AccountParts extends AccountOptions {
  readonly mails: Mails;
  readonly mailToken: MailToken;
  /** Sends mails that users with an account ask for. Registrations have a queue of their own. */
  readonly inBackground: InBackground;
  readonly inBackgroundOfRegistration: InBackground;
}
