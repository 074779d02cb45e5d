/**
 * Who asks. A principal is what is left of a credential once it was checked: a user who has signed in, or a program
 * with an API key of a user. Handlers and layers see this, and never the credential.
 */

/** What a user is. An admin may do what no scope and no ownership would allow. */
export const roles = ['user', 'admin'] as const;
export type Role = (typeof roles)[number];

/** What a credential may be used for. A session has all of them; an API key those that it was made with. */
export const scopes = ['users:read', 'users:write', 'posts:write', 'tasks:read', 'tasks:write'] as const;
export type Scope = (typeof scopes)[number];

interface Caller {
  readonly userId: number;
  readonly username: string;
  readonly role: Role;
  readonly scopes: ReadonlySet<Scope>;
}

/** Somebody who has signed in. */
export interface SessionPrincipal extends Caller {
  readonly kind: 'session';
  readonly sessionId: string;
}

/** A program that acts for a user. */
export interface ApiKeyPrincipal extends Caller {
  readonly kind: 'apiKey';
  readonly keyId: number;
}

export type Principal = SessionPrincipal | ApiKeyPrincipal;

/** The scopes of a session. */
export const allScopes: ReadonlySet<Scope> = new Set(scopes);

/** Whether somebody may act for a user: the user, and every admin. */
export function mayActFor(caller: Principal, userId: number): boolean {
  return caller.userId === userId || caller.role === 'admin';
}
