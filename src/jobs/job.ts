/**
 * A job and its states.
 *
 *       run_at is reached, or an operator     a runner claims it
 *       does not want to wait for it
 *     scheduled ──────────────────> available ──────────────────> running ──> completed
 *       │  ^                          │  ^                          │ │ │
 *       │  │                          │  └── released, or its ──────┘ │ │
 *       │  └── failed with attempts ──┼────  runner is gone           │ └────> failed   no attempts left, or the
 *       │      left, or snoozed <─────┼───────────────────────────────┘          ^      task refused the input
 *       └──────> cancelled <──────────┴── (running: after its attempt has stopped)
 *                    └──────── retried by an operator: available again <─────────┘
 *
 * `transitions` below is the same as a table. The constraints in sql/0007_create_jobs.sql state which columns a row has
 * in each state. Every transition is one statement of `store.ts` or `attempt-store.ts`, and its `where` names the state
 * that it starts from. Statements that leave `running` also name the runner and the attempt, so that a runner that has
 * lost the job changes nothing (fencing).
 */

export const jobStates = ['scheduled', 'available', 'running', 'completed', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

/** The states that can follow each state. */
export const transitions: Readonly<Record<JobState, readonly JobState[]>> = {
  scheduled: ['available', 'cancelled'],
  available: ['running', 'cancelled'],
  running: ['available', 'scheduled', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: ['available'],
  cancelled: ['available'],
};

/** The states that only an operator's retry can leave. */
const finishedStates = ['completed', 'failed', 'cancelled'] as const satisfies readonly JobState[];

export function isFinished(state: JobState): boolean {
  return finishedStates.some((finished) => finished === state);
}

/** Why an attempt failed. */
export interface JobError {
  readonly attempt: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /**
   * `threw`, `refused`, `timeout`, `thread_ended`, `out_of_memory`, `runner_lost`, `crashed`, `unknown_task`,
   * `invalid_payload`, `invalid_result`.
   */
  readonly code: JobErrorCode;
  /** A sentence, or the message of the thrown value. */
  readonly message: string;
  /** Plain JSON for the user who enqueued the job, such as the rejected lines of a file. */
  readonly details?: unknown;
  /** The stack of the thrown value. For operators only; the API never returns it to users. */
  readonly stack?: string;
}

export const jobErrorCodes = [
  'threw',
  'refused',
  'timeout',
  'thread_ended',
  'out_of_memory',
  'runner_lost',
  'crashed',
  'unknown_task',
  'invalid_payload',
  'invalid_result',
] as const;
export type JobErrorCode = (typeof jobErrorCodes)[number];

/** A job without its payload, which can be large and never changes. Clients that wait for a job poll this. */
export type JobStatus = Omit<Job, 'payload'>;

/** A row of the table `jobs`. */
export interface Job {
  readonly id: number;
  readonly name: string;
  readonly queue: string;
  readonly state: JobState;
  /** 0 runs first, 1000 last. */
  readonly priority: number;
  readonly payload: unknown;
  readonly uniqueKey: string | null;
  /** The user on whose behalf it was enqueued; null for the system's own jobs. */
  readonly userId: number | null;
  /** The id of the HTTP request that enqueued it. */
  readonly requestId: string | null;
  /** How many times it was claimed. */
  readonly attempt: number;
  /** Increased by one when an attempt does not count: the job was released or snoozed, or its runner was lost. */
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  /**
   * How many attempts were lost with their runner. They do not count; from the first loss on, the job runs isolated.
   */
  readonly losses: number;
  readonly runAt: Date;
  readonly runner: number | null;
  readonly cancelRequested: boolean;
  /** From 0 to 1. */
  readonly progress: number;
  readonly progressMessage: string | null;
  readonly result: unknown;
  /** The errors of its attempts, oldest first. Only the last 20 are kept. */
  readonly errors: readonly JobError[];
  /** When an operator retried it or started it early: ISO 8601, UTC, oldest first. Only the last 20 are kept. */
  readonly retries: readonly string[];
  /** Increases with every change that is visible to a client that watches the job. */
  readonly revision: number;
  readonly createdAt: Date;
  /** When the last attempt started. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}
