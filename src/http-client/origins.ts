import type { CircuitSet } from '../observability/circuit-set.ts';
import type { CircuitBreaker } from '../resilience/circuit-breaker.ts';
import { RetryBudget } from '../resilience/retry-budget.ts';

/** The state of one origin. */
export interface CalledOrigin {
  readonly breaker: CircuitBreaker;
  readonly budget: RetryBudget;
}

export interface Origins {
  /** Returns the state of an origin. A new origin gets the name of the service that is called first. */
  of(origin: string, service: string): CalledOrigin;
}

/** URLs can come from users, so the number of origins is bounded. The one that was not used for the longest time is forgotten. */
const maxOrigins = 1_000;
const budget = { ratio: 0.1, max: 10 };

export function createOrigins(circuits: CircuitSet): Origins {
  /** In the order of their last use. */
  const known = new Map<string, CalledOrigin>();
  return {
    of(origin, service) {
      const found = known.get(origin) ?? {
        breaker: circuits.create(service, { fields: { origin } }),
        budget: new RetryBudget(budget),
      };
      known.delete(origin);
      known.set(origin, found);
      if (known.size > maxOrigins) {
        const [oldest] = known;
        if (oldest !== undefined) {
          known.delete(oldest[0]);
          circuits.remove(oldest[1].breaker);
        }
      }
      return found;
    },
  };
}
