/**
 * How long a program may still run after the grace time for requests and jobs, in milliseconds. All limits are below one
 * second, so that a platform that waits for the grace time and one more second never has to kill the program.
 *
 *     SIGTERM ── grace time ──┬─ remaining requests and jobs are aborted
 *                             ├─ parts      connections closed, jobs released, last log lines written
 *                             ├─ child      supervised processes that still run are killed
 *                             └─ process    the process exits in any case
 */
export const stopLimits = { parts: 450, child: 700, process: 800 } as const;
