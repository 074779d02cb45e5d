/**
 * The incident of one alert rule, from the first reading that reaches its threshold to its resolution.
 *
 *              reached                    below
 *     (none) ───────────> firing ───────────────────> settling ──── below for a whole window ────> (none)
 *              raised        ^                            │                  resolved
 *                            └────────── reached ─────────┘
 *
 * A reading reaches the threshold if its value is at least the threshold. The window between the last such reading and the
 * resolution is the hysteresis: a value that swings around the threshold is one incident, with one alert and one resolution.
 *
 * Invariants, which the model test checks:
 * - A rule has at most one open incident. `raised` and `resolved` alternate, and `raised` is first.
 * - An incident is raised only by a reading that reaches the threshold, and resolved only by a reading below it, at least a
 *   window after the first reading of an unbroken series of readings below it.
 * - No reading, such as while nothing can be measured, changes nothing. A pause resolves no incident by itself.
 *
 * Pure: `now` is a parameter, in milliseconds of any clock. A `now` before the last change counts as the time of that change.
 */

export interface Incident {
  readonly id: string;
  readonly raisedAt: number;
  /** The first of the readings below the threshold since the last that reached it; null while it is reached. */
  readonly belowSince: number | null;
  /** The highest value so far. */
  readonly peak: number;
}

export interface Reading {
  readonly value: number;
  readonly threshold: number;
  readonly windowMs: number;
}

export type IncidentChange = 'raised' | 'resolved' | 'none';

export interface Observed {
  /** The open incident after the reading. */
  readonly incident: Incident | undefined;
  readonly change: IncidentChange;
}

/** Returns the incident of a rule after a reading. `createId` names a new one. */
export function observeReading(
  incident: Incident | undefined,
  { value, threshold, windowMs }: Reading,
  now: number,
  createId: () => string,
): Observed {
  const isReached = value >= threshold;
  if (incident === undefined) {
    if (!isReached) return { incident, change: 'none' };
    return { incident: { id: createId(), raisedAt: now, belowSince: null, peak: value }, change: 'raised' };
  }
  const peak = Math.max(incident.peak, value);
  const { belowSince } = incident;
  if (isReached) {
    const isSame = belowSince === null && peak === incident.peak;
    return { incident: isSame ? incident : { ...incident, belowSince: null, peak }, change: 'none' };
  }
  const at = Math.max(now, belowSince ?? incident.raisedAt);
  if (belowSince === null) return { incident: { ...incident, belowSince: at }, change: 'none' };
  return at - belowSince >= windowMs
    ? { incident: undefined, change: 'resolved' }
    : { incident, change: 'none' };
}
