/**
 * A limit store that counts in a store of several nodes (`shared-backend.ts`), and in this node while that store fails.
 *
 *      the circuit      an error, or no answer within the deadline
 *      is closed  ------------------------------------------>  is open
 *                 <------------------------------------------
 *                     a probe succeeds: first after 100 ms, then after twice the time, up to 5 s
 *
 * - closed: each take asks the backend. The takes of one turn of the event loop are one call. If the call fails or is late,
 *   the fallback decides all of its takes, so no request waits longer than the deadline.
 * - open: the fallback decides each take immediately. One probe at a time takes a permit of a limit of its own in the
 *   backend, which also finds a store that answers but cannot write: full, or read-only after a failover.
 *
 * A rejected client stays rejected until the time that the backend returned, because permits only become free with time. Until
 * then this store rejects it alone, in both states: a flood from one client costs the backend nothing, and a failure of the
 * backend admits it no earlier.
 *
 * When the circuit opens or closes, takes that are in progress may count in both. A fallback starts with empty windows, so in the window
 * after a failure another client can use its quota once more on each node. After the return, the permits that the fallback
 * granted do not count in the backend (docs/rate-limit.md has the table of failures).
 */

import { AppError } from '../../errors.ts';
import type { CreateProbedCircuit } from '../../observability/probed-circuit.ts';
import type { Decision, Limit, LimitStore, Policy } from '../limit-store.ts';
import type { Ask, SharedBackend } from './shared-backend.ts';

export interface SharedLimitStoreOptions {
  readonly backend: SharedBackend;
  /** Decides while the backend fails. */
  readonly fallback: LimitStore;
  /** While the backend fails, the fallback counts requests (`open`), or they get 503 (`closed`). */
  readonly onFailure: 'open' | 'closed';
  /** How long a request waits for the backend, in milliseconds. */
  readonly deadlineMs: number;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  readonly createCircuit: CreateProbedCircuit;
  /** Called for each take that the backend did not decide. */
  readonly onFallback: () => void;
  /** Called for each call to the backend with its duration in seconds. */
  readonly onCall: (seconds: number) => void;
}

export interface SharedLimitStore extends LimitStore {
  /** Whether the fallback decides, because the backend fails. */
  isLocal(): boolean;
  /** Stops probes. The fallback decides from then on. Idempotent. */
  stop(): void;
}

interface Waiting extends Ask {
  readonly resolve: (decisions: Decision[] | Promise<Decision[]>) => void;
  readonly reject: (error: unknown) => void;
}

interface Rejected {
  readonly policy: Policy;
  readonly until: number;
}

const probeLimit: Limit = { name: 'probe', policies: [{ name: 'probe', quota: 1_000_000, windowMs: 1_000 }] };
/** The maximum number of takes in one call, so that one call does not occupy the backend for long. */
const maxBatch = 100;
/** The maximum number of rejected clients that are remembered for each limit. */
const maxRejected = 10_000;

export function createSharedLimitStore(options: SharedLimitStoreOptions): SharedLimitStore {
  const { backend, fallback, onFailure, deadlineMs, createCircuit, onFallback, onCall } = options;
  const now = options.now ?? (() => performance.now());
  const rejected = new WeakMap<Limit, Map<string, Rejected>>();
  const circuit = createCircuit(probe);
  let batch: Waiting[] = [];

  function takeEach(limits: readonly Limit[], key: string): Decision[] | Promise<Decision[]> {
    for (const limit of limits) {
      const known = knownRejection(limit, key);
      if (known !== undefined) return [known];
    }
    if (circuit.isOpen()) {
      circuit.countRejection();
      return takeLocally(limits, key);
    }
    return new Promise((resolve, reject) => {
      if (batch.length === 0) setImmediate(flush);
      batch.push({ limits, key, resolve, reject });
    });
  }

  /** Returns the rejection of a client that was rejected before and must still wait. */
  function knownRejection(limit: Limit, key: string): Decision | undefined {
    const clients = rejected.get(limit);
    const known = clients?.get(key);
    if (clients === undefined || known === undefined) return undefined;
    const resetMs = Math.ceil(known.until - now());
    if (resetMs > 0) return { allowed: false, policy: known.policy, remaining: 0, resetMs };
    clients.delete(key);
    return undefined;
  }

  /** Counts from `sentAt`, so that the client is never rejected here when the backend would allow it again. */
  function remember(
    limits: readonly Limit[],
    key: string,
    decisions: readonly Decision[],
    sentAt: number,
  ): void {
    const limit = limits[decisions.length - 1];
    const last = decisions.at(-1);
    if (limit === undefined || last === undefined || last.allowed) return;
    const clients = rejected.get(limit) ?? new Map<string, Rejected>();
    rejected.set(limit, clients);
    clients.set(key, { policy: last.policy, until: sentAt + last.resetMs });
    if (clients.size <= maxRejected) return;
    const [oldest] = clients.keys();
    if (oldest !== undefined) clients.delete(oldest);
  }

  function flush(): void {
    const all = batch;
    batch = [];
    for (let at = 0; at < all.length; at += maxBatch) decide(all.slice(at, at + maxBatch));
  }

  function decide(asks: readonly Waiting[]): void {
    const sentAt = now();
    let isDone = false;
    const finish = (settle: () => void) => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      onCall((now() - sentAt) / 1000);
      settle();
    };
    const fail = (error: unknown) =>
      finish(() => {
        circuit.open(error);
        for (const { limits, key, resolve, reject } of asks) {
          try {
            resolve(takeLocally(limits, key));
          } catch (each) {
            reject(each);
          }
        }
      });
    // If this process was blocked, the answer may be unread: it is read before the callback of setImmediate.
    const timer = setTimeout(() => setImmediate(fail, lateAnswer(deadlineMs)), deadlineMs);
    backend.decide(asks).then(
      (decisions) =>
        finish(() => {
          asks.forEach(({ limits, key, resolve }, index) => {
            const each = decisions[index] ?? [];
            remember(limits, key, each, sentAt);
            resolve(each);
          });
        }),
      fail,
    );
  }

  function probe(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => setImmediate(reject, lateAnswer(deadlineMs)), deadlineMs).unref();
      backend
        .decide([{ limits: [probeLimit], key: 'probe' }])
        .finally(() => clearTimeout(timer))
        .then(() => resolve(), reject);
    });
  }

  function takeLocally(limits: readonly Limit[], key: string): Decision[] | Promise<Decision[]> {
    onFallback();
    if (onFailure === 'open') return fallback.takeEach(limits, key);
    throw new AppError('not_ready', 'The rate limit cannot be checked at the moment: try again later.', {
      layer: 'rate-limit',
      headers: { 'retry-after': '1' },
    });
  }

  return {
    takeEach,
    take(limit, key) {
      const decisions = takeEach([limit], key);
      return decisions instanceof Promise ? decisions.then(only) : only(decisions);
    },
    isLocal: circuit.isOpen,
    stop: circuit.stop,
  };
}

function lateAnswer(deadlineMs: number): Error {
  return new Error(`No answer within ${deadlineMs} ms.`);
}

function only([decision]: readonly Decision[]): Decision {
  if (decision === undefined) throw new RangeError('The limit store returned no decision.');
  return decision;
}
