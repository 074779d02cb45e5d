/**
 * The authenticated caller. A principal is the result of a checked credential: a signed-in user, or a program with an API key
 * of a user. Handlers and layers get the principal, never the credential.
 */

/** The roles of users. An admin may act on the resources of every user. */
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

/** A program that acts on behalf of a user. */
export interface ApiKeyPrincipal extends Caller {
  readonly kind: 'apiKey';
  readonly keyId: number;
  readonly scopes: ReadonlySet<Scope>;
}

export type Principal = SessionPrincipal | ApiKeyPrincipal;

/** Returns whether the caller may act on behalf of a user: the user itself and every admin may. */
export function mayActFor(caller: Principal, userId: number): boolean {
  return caller.userId === userId || caller.role === 'admin';
}
