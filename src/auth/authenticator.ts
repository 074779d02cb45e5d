import type { Principal } from './principal.ts';

/** What a request shows to say who it is from. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'apiKey'; readonly key: string };

/** From credentials to principals. */
export interface Authenticator {
  /**
   * Who stands behind the credential; at once if it was checked a moment ago. Throws, or rejects with, an AppError:
   * `unauthenticated`, whose sentence says why it is refused, or those of the database.
   */
  identify(credential: Credential): Principal | Promise<Principal>;
  /** The next use of this session's tokens in this process asks the database. */
  forgetSession(sessionId: string): void;
  /** The next use of this API key in this process asks the database. */
  forgetApiKey(keyId: number): void;
  /** The same for all credentials of a user: the role has changed, or the user is gone. */
  forgetUser(userId: number): void;
}
