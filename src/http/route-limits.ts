import { StartError } from '../errors.ts';
import type { Route, RouteLimit } from './route.ts';
import { isOpen } from './route-access.ts';

/** Names that limits and quotas of the application itself have. */
const ownNames = new Set(['address', 'minute', 'hour', 'user']);

/**
 * Throws a StartError if a route declares a quota that cannot be, if two routes mean different ones by one name, or if
 * anybody can make the server do something expensive without a limit.
 */
export function assertRouteLimits(routes: readonly Route[]): void {
  const byName = new Map<string, RouteLimit>();
  for (const route of routes) {
    const { method, path, limits = [] } = route;
    assertCostsLimited(route);
    for (const limit of limits) {
      const where = `The limit "${limit.name}" of ${method} ${path}`;
      if (!/^[a-z][a-z0-9-]{0,31}$/.test(limit.name) || ownNames.has(limit.name)) {
        throw new StartError(
          `${where} needs another name: of a-z, 0-9 and -, and none of ${[...ownNames].join(', ')}.`,
        );
      }
      if (![limit.quota, limit.windowMs / 1000].every((each) => Number.isInteger(each) && each > 0)) {
        throw new StartError(`${where} needs a quota of at least 1, and a window of whole seconds.`);
      }
      const other = byName.get(limit.name) ?? limit;
      if (other.by !== limit.by || other.quota !== limit.quota || other.windowMs !== limit.windowMs) {
        throw new StartError(
          `${where} differs from that of another route: give it another name, or the same numbers.`,
        );
      }
      byName.set(limit.name, limit);
    }
  }
}

/** What anybody can make the server do is limited for this route alone: the general limit counts cheap requests too. */
function assertCostsLimited(route: Route): void {
  const { method, path, costs = [], limits = [] } = route;
  if (!isOpen(route) || costs.length === 0 || limits.length > 0) return;
  throw new StartError(
    `${method} ${path} is open to everybody and costs ${costs.join(', ')}: declare its limits.`,
  );
}
