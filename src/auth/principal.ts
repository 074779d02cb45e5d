/**
 * Who asks. A principal is what is left of a credential once it was checked: a user who has signed in, or a program
 * with an API key of a user. Handlers and layers see this, and never the credential.
 */

/** What a user is. An admin may do what no scope and no ownership would allow. */
export const roles = ['user', 'admin'] as const;
export type Role = (typeof roles)[number];

/**
 * The permissions of API keys. A feature declares those that its routes ask for (`features/feature.ts`), and its front file
 * adds their names here by declaration merging.
 */
// biome-ignore lint/suspicious/noEmptyInterface: The features fill it.
export interface ScopeRegistry {}

export type Scope = keyof ScopeRegistry;

interface Caller {
  readonly userId: number;
  readonly username: string;
  readonly role: Role;
}

/** A user who has signed in. A session may do everything that its user may; scopes limit API keys only. */
export interface SessionPrincipal extends Caller {
  readonly kind: 'session';
  readonly sessionId: string;
}

/** A program that acts for a user. */
export interface ApiKeyPrincipal extends Caller {
  readonly kind: 'apiKey';
  readonly keyId: number;
  readonly scopes: ReadonlySet<Scope>;
}

export type Principal = SessionPrincipal | ApiKeyPrincipal;

/** Whether somebody may act for a user: the user, and every admin. */
export function mayActFor(caller: Principal, userId: number): boolean {
  return caller.userId === userId || caller.role === 'admin';
}
