/** The principals of layer tests: one user as a user, as an admin, and by an API key. */

import type { ApiKeyPrincipal, SessionPrincipal } from '../../src/auth/principal.ts';

const identity = { userId: 1, username: 'ada', role: 'user' } as const;

export const ada: SessionPrincipal = { ...identity, kind: 'session', sessionId: 'session-of-ada' };
export const admin: SessionPrincipal = { ...ada, role: 'admin' };
export const key: ApiKeyPrincipal = {
  ...identity,
  kind: 'apiKey',
  keyId: 7,
  scopes: new Set(['users:read']),
};
