/** How processes are supervised. A reload can change all of it. Times are in milliseconds. */
export interface SupervisionOptions {
  /** The number of HTTP workers. */
  readonly workers: number;
  readonly startTimeoutMs: number;
  /** How long a process may drain while another takes over. */
  readonly drainTimeoutMs: number;
  /** How long a process may drain while the whole program stops. */
  readonly stopTimeoutMs: number;
  /** How long a process may send no heartbeat. */
  readonly heartbeatTimeoutMs: number;
  /** In a reload, how long the first new process must stay up before the others are replaced. */
  readonly canaryMs: number;
  /** Requests after which a worker is replaced; 0 for never. */
  readonly maxRequests: number;
  /** The upper bound of a random number of requests added to `maxRequests`, so that workers are not replaced together. */
  readonly maxRequestsJitter: number;
  /** Resident memory above which a worker is replaced; 0 for no limit. */
  readonly maxMemoryBytes: number;
}
