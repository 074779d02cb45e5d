import type { WorkerReport } from './fleet.ts';

export interface RecyclingLimits {
  /** Requests after which a worker is worn out, jitter included; 0 for never. */
  readonly maxRequests: number;
  /** Resident memory above which it is; 0 for none. */
  readonly maxMemoryBytes: number;
}

/** A leak takes longer; what has that much memory at its start would be replaced for ever. */
const minAgeSeconds = 60;

/** Why a ready worker should be replaced by a fresh one; undefined if it is as good as new. */
export function wearOf(
  report: Pick<WorkerReport, 'state' | 'requests' | 'rssBytes' | 'ageSeconds'>,
  { maxRequests, maxMemoryBytes }: RecyclingLimits,
): 'requests' | 'memory' | undefined {
  if (report.state !== 'ready') return undefined;
  if (maxRequests > 0 && report.requests >= maxRequests) return 'requests';
  const isHeavy = maxMemoryBytes > 0 && report.rssBytes > maxMemoryBytes;
  return isHeavy && report.ageSeconds >= minAgeSeconds ? 'memory' : undefined;
}
