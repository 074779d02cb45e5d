import { boolean, integer } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

/** The rejection of requests while a process is overloaded. */
export const loadSheddingSettings = {
  enableDdosProtection: variable('SECURITY_ENABLE_DDOS_PROTECTION', boolean(), {
    default: 'false',
    about:
      'While a worker is overloaded, answer a part of the requests with 503 and Retry-After, those of callers that are not signed in first. Each worker adapts its limit to its load.',
  }),
  overloadTurnMs: variable('SECURITY_OVERLOAD_TURN_MS', integer(5, 1_000, 'milliseconds'), {
    default: '20',
    about:
      'The mean length of the turns of the event loop over which a worker is overloaded. A request waits for about one turn before it is read.',
  }),
  overloadMaxRequests: variable('SECURITY_OVERLOAD_MAX_REQUESTS', integer(8, 1_000_000), {
    default: '1000',
    about:
      'Maximum requests in progress per worker while SECURITY_ENABLE_DDOS_PROTECTION is true, however little they load the event loop.',
  }),
};
