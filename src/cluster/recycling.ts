import type { ProcessReport } from './fleet.ts';
import type { SupervisionOptions } from './supervision.ts';

/** A leak takes longer. A worker that has so much memory right after its start would be replaced endlessly. */
const minAgeSeconds = 60;

/** Returns the limit for which a ready worker should be replaced by a new one; undefined if it has reached none. */
export function recycleReason(
  report: Pick<ProcessReport, 'state' | 'requests' | 'rssBytes' | 'ageSeconds'>,
  { maxRequests, maxMemoryBytes }: Pick<SupervisionOptions, 'maxRequests' | 'maxMemoryBytes'>,
): 'requests' | 'memory' | undefined {
  if (report.state !== 'ready') return undefined;
  if (maxRequests > 0 && report.requests >= maxRequests) return 'requests';
  const isOverMemory = maxMemoryBytes > 0 && report.rssBytes > maxMemoryBytes;
  return isOverMemory && report.ageSeconds >= minAgeSeconds ? 'memory' : undefined;
}
