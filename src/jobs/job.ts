/**
 * A job and its states.
 *
 *                 run_at is there             a runner claims it
 *     scheduled ──────────────────> available ──────────────────> running ──> completed
 *       │  ^                          │  ^                          │ │ │
 *       │  │                          │  └── released, or its ──────┘ │ │
 *       │  └── failed with attempts ──┼────  runner is gone           │ └────> failed   the last attempt, or the
 *       │      left, or snoozed <─────┼───────────────────────────────┘          ^      task refuses more
 *       └──────> cancelled <──────────┴── (running: once its thread has ended)   │
 *                    └───────────── by hand: available again <───────────────────┘
 *
 * `transitions` below says the same as a table, the constraints in sql/0008_create_jobs.sql say what a row in each
 * state has. Every transition is one statement of `store.ts`, whose `where` names the state it starts from; out of
 * `running` also the runner and the attempt, so that whoever has lost the job changes nothing (fencing).
 */

export const jobStates = ['scheduled', 'available', 'running', 'completed', 'failed', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

/** To which states a job can go from each. */
export const transitions: Readonly<Record<JobState, readonly JobState[]>> = {
  scheduled: ['available', 'cancelled'],
  available: ['running', 'cancelled'],
  running: ['available', 'scheduled', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: ['available'],
  cancelled: ['available'],
};

/** The states that a job leaves by hand alone. */
export const finishedStates = ['completed', 'failed', 'cancelled'] as const satisfies readonly JobState[];

export function isFinished(state: JobState): boolean {
  return finishedStates.some((finished) => finished === state);
}

/** Why an attempt ended without a result. */
export interface JobError {
  readonly attempt: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** `threw`, `refused`, `timeout`, `thread_ended`, `out_of_memory`, `runner_lost`, `crashed`, `unknown_task`, `invalid_payload`, `invalid_result`. */
  readonly code: JobErrorCode;
  /** A sentence, or the message of what was thrown. */
  readonly message: string;
  /** What the task wants its user to see, such as the lines of a file that it refused: plain JSON. */
  readonly details?: unknown;
  /** The stack of what was thrown: for the operator, never for a user of the API. */
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

/** What whoever waits for a job looks at: all of it but the payload, which can be large and never changes. */
export type JobStatus = Omit<Job, 'payload'>;

/** A row of the table, whole. */
export interface Job {
  readonly id: number;
  readonly name: string;
  readonly queue: string;
  readonly state: JobState;
  /** 0 comes first, 1000 last. */
  readonly priority: number;
  readonly payload: unknown;
  readonly uniqueKey: string | null;
  /** On whose behalf it was enqueued; null for the system's own. */
  readonly userId: number | null;
  /** The id of the request that enqueued it. */
  readonly requestId: string | null;
  /** How often it was claimed. */
  readonly attempt: number;
  /** Grows by one when a claim does not count: the job was released or snoozed. */
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  /** How many attempts were lost with their runner. They do not count, and from the first on the job runs alone. */
  readonly losses: number;
  readonly runAt: Date;
  readonly runner: number | null;
  readonly cancelRequested: boolean;
  /** From 0 to 1. */
  readonly progress: number;
  readonly progressMessage: string | null;
  readonly result: unknown;
  /** The errors of its attempts, the oldest first; at most the last 20 are kept. */
  readonly errors: readonly JobError[];
  /** When it was made available again by hand: ISO 8601, UTC, the oldest first; at most the last 20 are kept. */
  readonly retries: readonly string[];
  /** Grows with every change that somebody who watches would see. */
  readonly revision: number;
  readonly createdAt: Date;
  /** When the last attempt began. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}
