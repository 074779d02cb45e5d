/** The message about a change of an incident: the fields of the webhook, and its text for people. */

import type { AlertRule, AlertRuleName, AlertSeverity } from './rules.ts';

export interface AlertMessage {
  /** The same in every attempt to deliver the message, so that a receiver can ignore a second delivery. */
  readonly id: string;
  readonly event: 'alert.raised' | 'alert.resolved';
  /** The same in both messages of an incident. */
  readonly incident: string;
  readonly rule: AlertRuleName;
  readonly severity: AlertSeverity;
  /** A sentence. */
  readonly summary: string;
  /** When it was raised; in a resolution the highest one. */
  readonly value: number;
  readonly threshold: number;
  readonly window_seconds: number;
  readonly service: string;
  readonly environment: string;
  /** The name of the machine that reports the change. */
  readonly node: string;
  /** ISO 8601, UTC. */
  readonly raised_at: string;
  readonly resolved_at: string | null;
  /** The address of the runbook. */
  readonly runbook: string;
}

/** The facts that all messages of a process share. */
export interface MessageSource {
  readonly service: string;
  readonly environment: string;
  readonly node: string;
  readonly windowSeconds: number;
  /** The address of the page of runbooks; each rule is a fragment of it. */
  readonly runbooks: string;
}

export interface MessageFacts {
  readonly incident: string;
  readonly rule: AlertRule;
  readonly value: number;
  readonly raisedAt: Date;
  /** Null for a new incident. */
  readonly resolvedAt: Date | null;
}

export function createMessage(
  { service, environment, node, windowSeconds, runbooks }: MessageSource,
  { incident, rule, value, raisedAt, resolvedAt }: MessageFacts,
): AlertMessage {
  const change = resolvedAt === null ? 'raised' : 'resolved';
  return {
    id: `${incident}.${change}`,
    event: `alert.${change}`,
    incident,
    rule: rule.name,
    severity: rule.severity,
    summary: `${rule.describe(value, windowSeconds)}.`,
    value,
    threshold: rule.threshold,
    window_seconds: windowSeconds,
    ...{ service, environment, node },
    raised_at: raisedAt.toISOString(),
    resolved_at: resolvedAt === null ? null : resolvedAt.toISOString(),
    runbook: `${runbooks}#${rule.runbook.toLowerCase()}`,
  };
}

/**
 * Returns the text for people. Chat programs give `<`, `>` and `&` a meaning, and only the name of the service, which the
 * settings choose, can contain them.
 */
export function textOf(message: AlertMessage): string {
  const { service, environment, severity, summary, threshold, raised_at, resolved_at, runbook } = message;
  const where = `${escapeMarkup(service)} (${environment})`;
  if (resolved_at !== null) {
    const minutes = Math.max(1, Math.round((Date.parse(resolved_at) - Date.parse(raised_at)) / 60_000));
    return `RESOLVED ${where}: over after ${minutes} min. It was: ${summary}`;
  }
  return `ALERT (${severity}) ${where}: ${summary} Threshold: ${threshold}. Runbook: ${runbook}`;
}

function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
