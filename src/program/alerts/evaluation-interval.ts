import type { Settings } from '../../settings/load.ts';

const defaultPingMs = 10_000;

/** Returns the time between two evaluations, in milliseconds. */
export function alertEveryMs({ security }: Settings): number {
  return Math.min(5_000, Math.max(250, security.alertWindowSeconds * 50));
}

/** Returns the time between two pings of the database: an outage must not be noticed later than it has to be reported. */
export function databasePingMs(settings: Settings): number {
  return settings.security.enableAlerting ? alertEveryMs(settings) : defaultPingMs;
}
