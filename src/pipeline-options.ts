/** Options of layers that other parts of the program need too. */

import type { Limit } from './limits/limit-store.ts';
import type { CorsOptions } from './middleware/cors.ts';
import type { Settings } from './settings/load.ts';

/** Returns the proxies whose forwarding headers are believed. */
export function trustedProxies({ security }: Settings): readonly string[] {
  return security.trustProxyHeaders ? security.trustedProxies : [];
}

/** Returns the addresses that are never banned, besides private ones. A trusted proxy is never banned, whatever it forwards. */
export function neverBanned({ security }: Settings): readonly string[] {
  return [...security.trustedProxies, ...security.banAllowedAddresses];
}

/** Returns which origins may read the responses. */
export function corsPolicy({ application }: Settings): Pick<CorsOptions, 'origins' | 'credentials'> {
  return { origins: application.corsAllowOrigins, credentials: application.corsAllowCredentials };
}

/** Returns the names of the layers that the settings leave nothing to do. */
export function unusedLayers({ application, security }: Settings): ReadonlySet<string> {
  const unused = new Set<string>();
  if (!security.enableDdosProtection) unused.add('load-shedding');
  if (!security.rateLimitEnabled) unused.add('rate-limit').add('caller-limit');
  if (!security.enableBanList) unused.add('ban-list');
  if (!security.enableGeoBlocking) unused.add('geo-block');
  if (application.corsAllowOrigins.length === 0) unused.add('cors');
  if (!security.enableCircuitBreaker) unused.add('circuit-breaker');
  if (!security.enforceHttps) unused.add('https-policy');
  return unused;
}

/** Returns the limit per address: a quota per minute, which includes bursts, and a quota per hour. */
export function addressLimit({ security }: Settings): Limit {
  return {
    name: 'address',
    policies: [
      { name: 'minute', quota: security.rateLimitPerMinute + security.rateLimitBurst, windowMs: 60_000 },
      { name: 'hour', quota: security.rateLimitPerHour, windowMs: 3_600_000 },
    ],
  };
}
