import type { SessionPrincipal } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import { findSessionUser } from './store.ts';

/** Who signed in to a session; undefined if it is over. Rejects with the AppErrors of the database. */
export type LoadSession = (sessionId: string) => Promise<SessionPrincipal | undefined>;

export interface LoadSessionOptions {
  readonly database: Database;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * For the authenticator: an access token names a session, and what is true of the user is asked here and not read from
 * the token. A token of another program with the same secrets may name something that is no session of ours.
 */
export function createLoadSession({ database: { sql }, now = Date.now }: LoadSessionOptions): LoadSession {
  return async function loadSession(sessionId) {
    if (!uuid.test(sessionId)) return undefined;
    const user = await findSessionUser(sql, sessionId, new Date(now()));
    if (user === undefined) return undefined;
    const { id: userId, username, role } = user;
    return { kind: 'session', sessionId, userId, username, role };
  };
}
