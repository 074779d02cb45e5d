/**
 * Whether the database can be used: what the log has of it, and the circuit of a pool that has one.
 *
 *     a query finds no connection, loses it,  ──>  check: a statement  ──no answer, and none  ──>  the circuit opens
 *     or has no answer for 0.5 to 1 s              of its own, 1 s         of another query
 *
 * - Only the check opens the circuit, because a failed query shows too little: its connection may be the only one that broke, its
 *   statement may be slow, or PostgreSQL may have no connections left while those of this pool work. An answer to any query in
 *   that second, also an error of its statement, shows that the database works. Without an open connection, the first failure of
 *   the check is enough.
 * - While the circuit is open, queries and transactions that begin are rejected at once. Those that wait for a connection are
 *   rejected when it opens. Queries and transactions in progress continue: they end by their answer, or when their connection
 *   is found dead (`driver/answer-watch.ts`).
 * - The probe of the circuit is the same statement. When it has an answer, the circuit is closed.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { AppError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { CreateProbedCircuit } from '../observability/probed-circuit.ts';
import { runOutsideRequest } from '../observability/request-context.ts';
import { circuitOpenError, isImpaired, isUnavailable, toDatabaseError } from './database-error.ts';

export interface Availability {
  /** Whether the circuit is open. */
  isOpen(): boolean;
  /** Counts a rejected query, and returns its error. */
  rejection(): AppError;
  /** Call it for each answer of PostgreSQL. */
  noteAnswer(): void;
  /** Call it when a connection is free, with the error of its last query or undefined. */
  note(error: unknown): void;
  /** Logs an error that means that the database is read-only, or lacks disk or memory. */
  noteImpairment(error: unknown): void;
  /** Checks whether the database answers, if no check is running, and opens the circuit if it does not. */
  suspect(): void;
  stop(): void;
}

export interface AvailabilityOptions {
  readonly log: Logger;
  readonly createCircuit: CreateProbedCircuit | undefined;
  /** Rejects with an AppError if PostgreSQL does not answer a statement within the time. */
  readonly probe: (timeoutMs: number) => Promise<void>;
  /** Whether a connection is open on which a query may be answered. */
  readonly mayAnswer: () => boolean;
  /** Called when the circuit opens. */
  readonly onOpen: () => void;
}

/** How long a check and a probe wait for their answer, in milliseconds. */
const probeMs = 1_000;
/** The pause until a check that failed early is repeated, because open connections may still have an answer. */
const checkPauseMs = 100;
/**
 * The minimum time between two log lines about an impaired database, in milliseconds. Logging only changes of the state, as for an
 * unreachable database, would log each failing write, because reads succeed in between.
 */
const impairedEveryMs = 60_000;

export function createAvailability({
  log,
  createCircuit,
  probe,
  mayAnswer,
  onOpen,
}: AvailabilityOptions): Availability {
  const circuit = createCircuit?.(() => probe(probeMs));
  let isReachable: boolean | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  /** While some queries fail and others succeed, as without connections left, the log would have two lines for each. */
  const settleMs = circuit === undefined ? 0 : 1_000;
  let impairedAt = Number.NEGATIVE_INFINITY;
  let answers = 0;
  let isChecking = false;

  async function check(): Promise<void> {
    const before = answers;
    const endsAt = performance.now() + probeMs;
    isChecking = true;
    for (;;) {
      const error = await probe(Math.max(1, Math.round(endsAt - performance.now()))).then(
        () => undefined,
        (reason: unknown) => reason ?? new Error('The check failed.'),
      );
      if (error === undefined || answers !== before) break;
      if (!mayAnswer() || performance.now() > endsAt - checkPauseMs) {
        circuit?.open(error);
        onOpen();
        break;
      }
      await delay(checkPauseMs);
    }
    isChecking = false;
  }

  function suspect(): void {
    // The check belongs to no request, although one of them found the failure.
    if (circuit?.isOpen() === false && !isChecking) runOutsideRequest(() => void check());
  }

  function noteImpairment(error: unknown): void {
    if (!isImpaired(error) || performance.now() - impairedAt < impairedEveryMs) return;
    impairedAt = performance.now();
    log.error('database.impaired', { error: toDatabaseError(error, false) });
  }

  return {
    isOpen: () => circuit?.isOpen() === true,
    rejection() {
      circuit?.countRejection();
      return circuitOpenError(circuit?.retryAfterMs() ?? 0);
    },
    noteAnswer() {
      answers += 1;
    },
    note(error) {
      noteImpairment(error);
      const reachable = !isUnavailable(error);
      if (!reachable) {
        failedAt = performance.now();
        suspect();
      }
      if (reachable === isReachable) return;
      if (reachable && performance.now() - failedAt < settleMs) return;
      isReachable = reachable;
      if (reachable) log.info('database.connected');
      else log.error('database.unavailable', { error });
    },
    noteImpairment,
    suspect,
    stop: () => circuit?.stop(),
  };
}
