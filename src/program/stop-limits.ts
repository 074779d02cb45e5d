/**
 * How long a program may still run after the grace time for requests and jobs, in milliseconds. All of it together is
 * less than a second, so that a platform that waits for the grace time and one second more never has to kill it.
 *
 *     SIGTERM ── grace time ──┬─ what is left is cut: requests, jobs
 *                             ├─ parts      connections are closed, jobs given back, last lines written
 *                             ├─ child      a supervised process that is still there is killed
 *                             └─ process    the process ends, whatever it waits for
 */
export const stopLimits = { parts: 450, child: 700, process: 800 } as const;
