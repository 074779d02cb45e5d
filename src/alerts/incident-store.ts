/**
 * The open incidents of all nodes, in PostgreSQL. One row per rule in `alert_incidents` is what makes an incident one: the node
 * whose transaction inserts the row reports the alert, and the one whose transaction deletes it reports the resolution. The
 * jobs that deliver these messages are part of the same transaction.
 *
 * `alert_counts` has one row per node, with what it measured in its window. The row expires after a few evaluations, so a node
 * that has stopped no longer counts.
 *
 * Evaluations run one after the other, under an advisory lock that is held for some milliseconds. Times are those of the
 * database, since the clocks of nodes differ.
 */

import * as z from 'zod';
import type { Database } from '../db/database.ts';
import { onlyRow, type Sql } from '../db/sql.ts';
import type { AlertMessage } from './alert-message.ts';
import type { Incident } from './incident.ts';
import type { Measured } from './rules.ts';

/** The incidents and counts of all nodes at one moment. */
export interface SharedState {
  /** By the clock of the database, in milliseconds of Unix time. */
  readonly now: number;
  /** The measurements of each of the other nodes, by the name of the rule. */
  readonly others: readonly Readonly<Record<string, Measured>>[];
  /** The open incidents, by the name of the rule. */
  readonly open: ReadonlyMap<string, Incident>;
}

/** The changes that an evaluation makes. */
export interface IncidentDecision {
  /** Incidents that are new or changed, by the name of the rule. */
  readonly stored: readonly (readonly [rule: string, incident: Incident])[];
  /** The rules whose incident is resolved. */
  readonly removed: readonly string[];
  /** The messages to deliver. */
  readonly messages: readonly AlertMessage[];
}

/** Delivers messages as jobs, in the transaction of an evaluation. */
export interface JobDelivery {
  enqueue(sql: Sql, messages: readonly AlertMessage[]): Promise<void>;
  /** Cancels the jobs that no runner has claimed for too long, and resolves with their messages. */
  cancelUnclaimed(sql: Sql): Promise<readonly AlertMessage[]>;
}

export interface IncidentStore {
  /**
   * Stores what this node measured, and what `decide` returns for the present state: all or nothing. Resolves with the
   * messages that no runner of jobs delivers, so that they have to be sent directly. Rejects with an error of the database.
   */
  evaluate(
    own: Readonly<Record<string, Measured>>,
    decide: (state: SharedState) => IncidentDecision,
  ): Promise<readonly AlertMessage[]>;
}

export interface IncidentStoreOptions {
  readonly database: Pick<Database, 'transaction'>;
  /** The UUID of this process among all nodes. */
  readonly node: string;
  /** How long the counts of a node are valid, in milliseconds. */
  readonly countsMs: number;
  /** Undefined without a webhook. */
  readonly delivery: JobDelivery | undefined;
}

const countsSchema = z.record(z.string(), z.object({ count: z.number(), of: z.number() }));

interface IncidentRow {
  readonly rule: string;
  readonly id: string;
  readonly raised_at: Date;
  readonly below_since: Date | null;
  readonly peak: number;
}

export function createIncidentStore({
  database,
  node,
  countsMs,
  delivery,
}: IncidentStoreOptions): IncidentStore {
  async function readState(sql: Sql, own: Readonly<Record<string, Measured>>): Promise<SharedState> {
    const others = await sql<{ counts: unknown }[]>`
      with own as (
        insert into alert_counts (node, counts, expires_at)
        values (
          ${node}, ${JSON.stringify(own)}::text::jsonb, clock_timestamp() + ${countsMs} * interval '1 millisecond'
        )
        on conflict (node) do update set counts = excluded.counts, expires_at = excluded.expires_at
      ), expired as (
        delete from alert_counts where expires_at < clock_timestamp() and node <> ${node}
      )
      select counts from alert_counts where node <> ${node} and expires_at >= clock_timestamp()`;
    const incidents = await sql<IncidentRow[]>`
      select rule, id, raised_at, below_since, peak from alert_incidents`;
    const { now } = onlyRow(await sql<{ now: Date }[]>`select clock_timestamp() as now`);
    return {
      now: now.getTime(),
      others: others.map(({ counts }) => countsSchema.parse(counts)),
      open: new Map(
        incidents.map(({ rule, id, raised_at, below_since, peak }) => [
          rule,
          { id, raisedAt: raised_at.getTime(), belowSince: below_since?.getTime() ?? null, peak },
        ]),
      ),
    };
  }

  return {
    evaluate: (own, decide) =>
      database.transaction(
        async (sql) => {
          await sql`select pg_advisory_xact_lock(hashtextextended('alert_incidents', 0))`;
          const { stored, removed, messages } = decide(await readState(sql, own));
          for (const [rule, { id, raisedAt, belowSince, peak }] of stored) {
            await sql`
              insert into alert_incidents (rule, id, raised_at, below_since, peak)
              values (
                ${rule}, ${id}, ${new Date(raisedAt)}, ${belowSince === null ? null : new Date(belowSince)}, ${peak}
              )
              on conflict (rule) do update set below_since = excluded.below_since, peak = excluded.peak`;
          }
          if (removed.length > 0)
            await sql`delete from alert_incidents where rule = any(${[...removed]}::text[])`;
          if (delivery === undefined) return [];
          if (messages.length > 0) await delivery.enqueue(sql, messages);
          return delivery.cancelUnclaimed(sql);
        },
        // The next evaluation is the retry.
        { retries: 0 },
      ),
  };
}
