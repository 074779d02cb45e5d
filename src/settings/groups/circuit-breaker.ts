import { boolean, integer } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

/** The circuit breaker of routes. */
export const circuitBreakerSettings = {
  enableCircuitBreaker: variable('SECURITY_ENABLE_CIRCUIT_BREAKER', boolean(), {
    default: 'false',
    about:
      'Answer requests of a route with 503 and Retry-After while the route fails repeatedly. Each process counts for itself.',
  }),
  circuitBreakerThreshold: variable('SECURITY_CIRCUIT_BREAKER_THRESHOLD', integer(1, 1_000_000, 'failures'), {
    default: '5',
    about:
      'The failures of a route in any 60 seconds that open its circuit, if they are at least half of its requests. A failure is a status from 500 or a missed deadline.',
  }),
  circuitBreakerTimeout: variable('SECURITY_CIRCUIT_BREAKER_TIMEOUT', integer(1, 3_600, 'seconds'), {
    default: '60',
    about:
      'How long requests are rejected before one is tried. If it fails, the time doubles, up to five times this value.',
  }),
};
