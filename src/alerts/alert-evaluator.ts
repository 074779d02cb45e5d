/**
 * Evaluates the alert rules of a node, in the process that supervises its workers.
 *
 *     every few seconds: metrics of all processes ──meters──> what this node measured
 *                                                                  │
 *              the database answers                                v                 it does not, or there is none
 *     incident-store.ts: sums and incidents of all nodes  <──── share() ────>  alone: this node's own counts and incidents
 *         │ the node that inserts or deletes the row                                          │
 *         v                                                                                   v
 *     log, metric, a job in the same transaction                            log, metric, outbox.ts sends the message
 *
 * While the database is away, a node raises incidents alone, and resolves only those. When it is back, an incident that is
 * still open becomes that of all nodes, unless another node has opened one of the same rule, which then counts. An incident of
 * all nodes stays open until the database is back. A rule with the scope `node` never uses the database.
 *
 * Each message is delivered at least once. Two nodes report one incident twice only if each was cut off from the database.
 */

import { randomUUID } from 'node:crypto';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { isUnavailable, sqlState } from '../db/database-error.ts';
import { reasonOf } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';
import { type AlertMessage, createMessage, type MessageSource } from './alert-message.ts';
import type { AlertMetrics } from './alert-metrics.ts';
import { type Incident, observeReading } from './incident.ts';
import type { IncidentDecision, IncidentStore, SharedState } from './incident-store.ts';
import type { Outbox } from './outbox.ts';
import type { AlertRule, AlertRuleName, AlertSeverity, Measured } from './rules.ts';

export interface AlertEvaluatorOptions {
  readonly rules: readonly AlertRule[];
  readonly windowMs: number;
  /** The time between two evaluations, in milliseconds. */
  readonly everyMs: number;
  /** Resolves with the metrics of all processes of the node. Never rejects. */
  readonly collect: () => Promise<MetricsSnapshot>;
  /** The incidents of all nodes; undefined without a database. */
  readonly store: IncidentStore | undefined;
  /** Sends messages that no job delivers; undefined without a webhook. */
  readonly outbox: Outbox | undefined;
  readonly source: MessageSource;
  readonly log: Logger;
  readonly metrics: AlertMetrics;
}

/** An open incident, for operators. */
export interface FiringAlert {
  readonly rule: AlertRuleName;
  readonly severity: AlertSeverity;
  readonly summary: string;
  readonly since: Date;
  /** The highest value so far. */
  readonly value: number;
  readonly threshold: number;
  readonly runbook: string;
}

export interface AlertEvaluator {
  start(): void;
  /** Starts no further evaluation. One in progress is not awaited, because the database may not answer. Idempotent. */
  stop(): void;
  /** Returns the open incidents, in the order of the rules. */
  firing(): readonly FiringAlert[];
}

/** How long an evaluation waits for the database, in milliseconds. */
const storeMs = 2_000;

/** A change of an incident with the time of the clock that decided. */
interface Change {
  readonly kind: 'raised' | 'resolved';
  readonly rule: AlertRule;
  readonly message: AlertMessage;
}

type Measurements = ReadonlyMap<AlertRule, Measured>;

export function createAlertEvaluator(options: AlertEvaluatorOptions): AlertEvaluator {
  const { rules, windowMs, everyMs, collect, store, outbox, source, log, metrics } = options;
  const now = () => performance.now();
  const meters = new Map(rules.map((rule) => [rule, rule.createMeter(windowMs, now())]));
  /** The incidents of this node alone, by the clock of the process. */
  const alone = new Map<AlertRule, Incident>();
  /** The incidents of all nodes as of the last evaluation with the database, by its clock. */
  let shared: ReadonlyMap<string, Incident> = new Map();
  let isShared = false;
  let hasFailed = false;
  let pending: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  async function evaluate(): Promise<void> {
    const snapshot = await collect();
    const at = now();
    const measure = (scope: AlertRule['scope'], reachesDatabase: boolean): Measurements =>
      new Map(
        rules
          .filter((rule) => rule.scope === scope)
          .flatMap((rule) => {
            const measured = meters.get(rule)?.(snapshot, at, { reachesDatabase });
            return measured === undefined ? [] : [[rule, measured] as const];
          }),
      );
    const ofService = measure('service', false);
    const reachesDatabase = await share(ofService, at);
    if (!isShared) evaluateAlone(ofService, at);
    evaluateAlone(measure('node', reachesDatabase), at);
    for (const rule of rules) metrics.firing(rule.name, alone.has(rule) || shared.has(rule.name));
  }

  /** Evaluates with the other nodes. Resolves with whether the database has answered. */
  async function share(own: Measurements, at: number): Promise<boolean> {
    if (store === undefined || pending !== undefined) return false;
    const taken = (isShared && outbox?.take()) || [];
    let decided: Decided | undefined;
    const work = store
      .evaluate(Object.fromEntries(Array.from(own, ([rule, measured]) => [rule.name, measured])), (state) => {
        decided = decide(own, state, at);
        return { ...decided, messages: [...taken, ...decided.changes.map(({ message }) => message)] };
      })
      .then((unclaimed) => {
        outbox?.pushUnclaimed(unclaimed);
        for (const rule of own.keys()) alone.delete(rule);
        shared = decided?.open ?? new Map();
        for (const change of decided?.changes ?? []) report(change);
        setShared(true);
      });
    pending = work.finally(() => {
      pending = undefined;
    });
    pending.catch(() => {});
    try {
      await withTimeout(work, storeMs, () => {
        throw new Error(`No answer within ${storeMs} ms`);
      });
      return true;
    } catch (error) {
      outbox?.push(taken);
      setShared(false, error);
      return sqlState(error) !== undefined && !isUnavailable(error);
    }
  }

  interface Decided extends Omit<IncidentDecision, 'messages'> {
    readonly changes: readonly Change[];
    readonly open: ReadonlyMap<string, Incident>;
  }

  /** Decides on all rules by the counts and incidents of all nodes. */
  function decide(own: Measurements, state: SharedState, at: number): Decided {
    const open = new Map(state.open);
    const stored: [string, Incident][] = [];
    const removed: string[] = [];
    const changes: Change[] = [];
    for (const [rule, measured] of own) {
      const { name } = rule;
      const sum = addUp([measured, ...state.others.flatMap((each) => each[name] ?? [])]);
      const before = open.get(name) ?? handedOver(alone.get(rule), state.now - at);
      const { incident, change } = observeReading(before, readingOf(rule, sum), state.now, randomUUID);
      if (change !== 'none') changes.push(changeOf(rule, change, incident ?? before, new Date(state.now), 0));
      if (incident === undefined) {
        open.delete(name);
        if (state.open.has(name)) removed.push(name);
      } else if (incident !== state.open.get(name)) {
        open.set(name, incident);
        stored.push([name, incident]);
      }
    }
    return { open, stored, removed, changes };
  }

  function evaluateAlone(own: Measurements, at: number): void {
    for (const [rule, measured] of own) {
      if (shared.has(rule.name)) continue;
      const before = alone.get(rule);
      const { incident, change } = observeReading(before, readingOf(rule, measured), at, randomUUID);
      if (incident === undefined) alone.delete(rule);
      else alone.set(rule, incident);
      if (change === 'none') continue;
      const made = changeOf(rule, change, incident ?? before, new Date(), Date.now() - at);
      report(made);
      outbox?.push([made.message]);
    }
  }

  function readingOf(rule: AlertRule, measured: Measured) {
    return { value: rule.valueOf(measured), threshold: rule.threshold, windowMs };
  }

  /** `offset` converts the times of the incident to Unix time. */
  function changeOf(
    rule: AlertRule,
    kind: Change['kind'],
    incident: Incident | undefined,
    moment: Date,
    offset: number,
  ): Change {
    if (incident === undefined) throw new Error('A change of an incident without an incident.');
    const { id, peak, raisedAt } = incident;
    const message = createMessage(source, {
      ...{ incident: id, rule, value: peak },
      raisedAt: new Date(raisedAt + offset),
      resolvedAt: kind === 'raised' ? null : moment,
    });
    return { kind, rule, message };
  }

  function report({ kind, rule, message }: Change): void {
    const { incident, severity, summary, value, threshold, window_seconds, raised_at, runbook } = message;
    const fields = {
      rule: rule.name,
      incident,
      severity,
      summary,
      value,
      threshold,
      window_seconds,
      runbook,
    };
    if (kind === 'raised') {
      metrics.raised(rule.name);
      if (severity === 'page') log.error('alert.raised', fields);
      else log.warning('alert.raised', fields);
    } else log.info('alert.resolved', { ...fields, raised_at });
  }

  /** Logs the first failure, and the first success after it. */
  function setShared(succeeded: boolean, error?: unknown): void {
    isShared = succeeded;
    if (succeeded === !hasFailed || isStopped) return;
    hasFailed = !succeeded;
    if (succeeded) log.info('alert.store_restored');
    else {
      log.warning('alert.store_failed', {
        reason: reasonOf(error),
        advice: 'Until the database answers, this node evaluates alerts alone and sends them directly.',
      });
    }
  }

  function run(): void {
    void evaluate()
      // A bug of a rule must stop neither the other evaluations nor the supervising process.
      .catch((error: unknown) => log.error('alert.evaluation_failed', { error }))
      .then(() => {
        if (!isStopped) timer = setTimeout(run, everyMs);
      });
  }

  return {
    start: run,
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
    firing: () =>
      rules.flatMap((rule) => {
        const own = alone.get(rule);
        const incident = own ?? shared.get(rule.name);
        if (incident === undefined) return [];
        const { name, severity, threshold, runbook } = rule;
        const { peak: value, raisedAt } = incident;
        return {
          ...{ rule: name, severity, value, threshold },
          summary: `${rule.describe(value, windowMs / 1000)}.`,
          since: new Date(own === undefined ? raisedAt : Date.now() - now() + raisedAt),
          runbook: `${source.runbooks}#${runbook.toLowerCase()}`,
        };
      }),
  };
}

function addUp(parts: readonly Measured[]): Measured {
  return {
    count: parts.reduce((sum, { count }) => sum + count, 0),
    of: parts.reduce((sum, { of }) => sum + of, 0),
  };
}

/** Converts an incident of this node to the clock of the database. */
function handedOver(incident: Incident | undefined, offset: number): Incident | undefined {
  if (incident === undefined) return undefined;
  const { raisedAt, belowSince } = incident;
  return {
    ...incident,
    raisedAt: raisedAt + offset,
    belowSince: belowSince === null ? null : belowSince + offset,
  };
}
