/**
 * The channels of NOTIFY by which the queue speaks to its runners. A message says only that something may be there:
 * whoever misses one finds it by polling, so nothing depends on their arrival.
 */

/** Jobs can be claimed; the payload is the name of their queue. */
export const availableChannel = 'strata_jobs_available';

/** A running job is to be cancelled; the payload is its id. */
export const cancelChannel = 'strata_jobs_cancel';
