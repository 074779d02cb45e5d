import { StartError } from '../errors.ts';
import type { Route } from './route.ts';

/** Whether a route lets in everybody, known or not. */
export function isOpen({ auth }: Route): boolean {
  return auth === 'none' || auth === 'own';
}

/** Throws a StartError if a route lets everybody in, and asks for a role or a scope as if it did not. */
export function refuseUnclearAccess(routes: readonly Route[]): void {
  const unclear = routes.find((route) => isOpen(route) && (route.roles ?? route.scopes) !== undefined);
  if (unclear === undefined) return;
  throw new StartError(
    `${unclear.method} ${unclear.path} declares roles or scopes, and auth: '${unclear.auth}', which asks for none: let auth be user, apiKey or any.`,
  );
}
