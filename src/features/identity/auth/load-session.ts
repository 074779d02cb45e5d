import type { SessionPrincipal } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import { findSessionUser } from './store.ts';

/** Returns the user of a live session, or undefined. Rejects with a database AppError. */
export type LoadSession = (sessionId: string) => Promise<SessionPrincipal | undefined>;

export interface LoadSessionOptions {
  readonly database: Database;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Creates the look-up of the authenticator: an access token names a session, and the facts about the user come from the
 * database, not from the token. The token of another program with the same secrets may name something else, so the form
 * of the session id is checked first.
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
