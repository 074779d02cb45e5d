/**
 * The NOTIFY channels that wake the runners. A message is only a hint: a runner that misses one finds the same by
 * polling, so nothing depends on delivery.
 */

/** A job can be claimed. The payload is the name of its queue. */
export const availableChannel = 'strata_jobs_available';

/** A running job must be cancelled. The payload is its id. */
export const cancelChannel = 'strata_jobs_cancel';
