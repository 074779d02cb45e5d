/**
 * A circuit for a part that many requests share, such as the database or Redis. It differs from the circuit of a called service
 * in two points:
 *
 *                open(error)
 *     closed ------------------> open ---its time has passed---> half-open: one probe runs
 *        ^                        ^                                |         |
 *        |                        +------it fails, or is late------+         |
 *        +-------------------------------it succeeds-------------------------+
 *
 * - Its trials are probes that it starts itself, one at a time, so no request waits for a part that may still be away, and the end
 *   of an outage is noticed without a request.
 * - One `open` opens it: its user decides what shows that the part is away. So a call costs the read of one field while the
 *   circuit is closed, and reports nothing.
 *
 * The states, the open times and the one trial are those of `resilience/circuit-breaker.ts`. The open times have jitter, so that
 * the probes of many processes do not arrive together.
 */

import { reasonOf } from '../errors.ts';
import type { BreakerPolicy } from '../resilience/circuit-breaker.ts';
import { type CircuitKind, type CircuitMetrics, createCircuitSet } from './circuit-set.ts';
import type { Logger } from './logger.ts';
import { runOutsideRequest } from './request-context.ts';

export interface ProbedCircuit {
  /** Whether calls are to be rejected. It is also open while a probe runs. */
  isOpen(): boolean;
  /** Opens the circuit because of an error. Does nothing if it is open. */
  open(error: unknown): void;
  /** Returns the milliseconds until the next probe. 0 if one runs, or the circuit is closed. */
  retryAfterMs(): number;
  /** Counts a call that was rejected because the circuit is open. */
  countRejection(): void;
  /** Stops probes, and leaves the circuit open. Idempotent. */
  stop(): void;
}

/**
 * Creates the circuit of a part. `probe` resolves when the part works. It rejects while the part is away, within the time that
 * the part may need.
 */
export type CreateProbedCircuit = (probe: () => Promise<unknown>) => ProbedCircuit;

export interface ProbedCircuitOptions {
  readonly kind: CircuitKind;
  /** Appears in the log and in readiness. */
  readonly name: string;
  /** The first time between two probes, in milliseconds. */
  readonly openMs: number;
  /** The maximum time between two probes, in milliseconds, without the jitter. */
  readonly maxOpenMs: number;
  readonly log: Logger;
  readonly metrics: CircuitMetrics;
  /** The consequence of an open circuit, for operators, in `circuit.opened`. */
  readonly advice: string;
  /** Called when the circuit opens or closes. */
  readonly onChange?: (isOpen: boolean) => void;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/** A probe starts up to this part of the open time later. */
const jitter = 0.25;

/** A circuit that closed less than this time ago continues with its last open time, in milliseconds. */
const windowMs = 10_000;
/** A probe that takes longer has failed, in milliseconds. It is only for a probe that never settles. */
const lostProbeMs = 15_000;

/** Returns a function that creates the circuit, so that the part itself can provide the probe. */
export function probedCircuit(options: ProbedCircuitOptions): CreateProbedCircuit {
  return (probe) => createProbedCircuit(options, probe);
}

function createProbedCircuit(
  {
    kind,
    name,
    openMs,
    maxOpenMs,
    log,
    metrics,
    advice,
    onChange,
    now = () => performance.now(),
  }: ProbedCircuitOptions,
  probe: () => Promise<unknown>,
): ProbedCircuit {
  let isOpen = false;
  let isStopped = false;
  let reason: unknown;
  let timer: NodeJS.Timeout | undefined;

  const policy: BreakerPolicy = {
    ...{ minCalls: 1, minFailures: 1, failureRate: Number.MIN_VALUE },
    ...{ slowCallMs: lostProbeMs, openMs, maxOpenMs, windowMs },
  };
  const circuits = createCircuitSet({ kind, policy, log, metrics, now });
  const breaker = circuits.create(name, {
    // Not the error: reading its stack with source maps takes a tenth of a second, and requests would wait for it.
    describe: () => ({ reason: reasonOf(reason), advice }),
    onChange(state) {
      const wasOpen = isOpen;
      isOpen = state !== 'closed';
      if (isOpen !== wasOpen) onChange?.(isOpen);
    },
  });

  function scheduleProbe(): void {
    if (isStopped) return;
    const waitMs = Math.ceil(breaker.retryAfterMs(now())) * (1 + Math.random() * jitter);
    timer = setTimeout(runProbe, waitMs).unref();
  }

  function runProbe(): void {
    const permit = breaker.admit(now());
    if (permit === undefined) {
      // A timer may fire a fraction of a millisecond early.
      scheduleProbe();
      return;
    }
    const end = (isFailure: boolean) => {
      if (isStopped) return;
      breaker.report(permit, isFailure, 0, now());
      if (isOpen) scheduleProbe();
    };
    probe().then(
      () => end(false),
      () => end(true),
    );
  }

  return {
    isOpen: () => isOpen,
    open(error) {
      if (isOpen) return;
      const at = now();
      const permit = breaker.admit(at);
      if (permit === undefined) return;
      reason = error;
      breaker.report(permit, true, 0, at);
      // The probes belong to no request, although one of them found the failure.
      runOutsideRequest(scheduleProbe);
    },
    retryAfterMs: () => (breaker.state(now()) === 'open' ? breaker.retryAfterMs(now()) : 0),
    countRejection: circuits.countRejection,
    stop() {
      isStopped = true;
      isOpen = true;
      clearTimeout(timer);
    },
  };
}
