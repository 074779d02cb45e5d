/**
 * All bans of a node: in the primary of several workers, or in the single process. It decides on bans from the offences that
 * the processes report, sends each change to all of them, and logs and counts it. The event of a start has its duration, so the
 * regular end of a ban is not logged. The registry outlasts every worker, so bans survive a reload. `shared/ban-exchange.ts` exchanges the changes with the other nodes.
 *
 * Clients that are exempt are never banned, neither for offences nor by hand nor by another node. If a reload makes a client
 * exempt, its ban ends.
 */

import { AppError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import { type Ban, BanList, type BanPolicy, type BanReason, banReasons } from '../resilience/ban-list.ts';
import { type ActiveBan, type BanReceiver, type ClientOffences, maxClients } from './ban-messages.ts';
import { createBanMetrics } from './ban-metrics.ts';
import type { ExemptClients } from './exempt-clients.ts';

/** A ban for people and for other nodes. */
export interface BanReport {
  readonly id: number;
  readonly client: string;
  readonly reason: BanReason;
  readonly nth: number;
  readonly note: string;
  readonly startedAt: Date;
  readonly endsAt: Date;
  readonly remainingMs: number;
}

/**
 * A change that other nodes apply too: a ban, or the end of one by hand (`isLifted`). `remainingMs` is negative after the end
 * of a ban, which still makes the next one longer.
 */
export interface BanChange extends Omit<BanReport, 'id' | 'startedAt' | 'endsAt'> {
  readonly ageMs: number;
  readonly isLifted: boolean;
}

export interface BanPage {
  readonly bans: readonly BanReport[];
  /** The number of all bans. */
  readonly total: number;
  /** Where the next page begins; undefined after the last one. */
  readonly before: number | undefined;
}

/** A ban by hand. */
export interface ManualBan {
  readonly client: string;
  readonly ms: number;
  readonly note: string;
  /** The address of the operator. */
  readonly operator: string;
}

/** The view of an operator on the bans, and the changes by hand. */
export interface BanDesk {
  /** Returns bans, the newest first: those with an id below `before`. */
  page(limit: number, before?: number): BanPage;
  find(client: string): BanReport | undefined;
  /** Bans a client, or replaces its ban. Throws a `conflict` for a client that is never banned, and if there are too many. */
  ban(by: ManualBan): BanReport;
  /** Lifts a ban, and forgets the offences of the client. Returns whether there was one. */
  lift(client: string, operator: string): boolean;
}

export interface BanRegistry extends BanDesk {
  /** Counts offences that a process has reported. */
  report(offenders: readonly ClientOffences[]): void;
  /** Sends all bans to a process now, and all changes from now on. Returns a function that ends this. */
  connect(receiver: BanReceiver): () => void;
  /** Replaces the policy and the exempt clients. */
  configure(rules: BanRules): void;
  /** Applies changes of other nodes. */
  adopt(changes: readonly BanChange[]): void;
  /** Calls the listener with each client that this node has banned, or whose ban was lifted here. */
  onChange(listener: (client: string, isLifted: boolean) => void): void;
  /** Returns the ban of a client as a change; undefined if it has none. */
  changeOf(client: string): BanChange | undefined;
  /** Returns the banned clients. */
  clients(): string[];
  /** Returns how long a ban makes the next one longer, after its end. */
  keepMs(): number;
  /** Forgets the bans whose time is over. Must be called about every second. */
  sweep(): void;
}

export interface BanRules {
  readonly policy: BanPolicy;
  readonly exempt: ExemptClients;
}

export interface BanRegistryOptions {
  readonly rules: BanRules;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The clock of the host, in milliseconds. */
  readonly now: () => number;
  readonly bounds?: typeof defaultBounds;
}

/** About 50 MB in the registry and 5 MB in each worker, if all of it is used. */
const defaultBounds = { maxOffenders: 50_000, maxBans: 50_000, maxManual: 1_000 };

/** Bans of a client with the same reason whose ends are as close as this are the same ban, in milliseconds. */
const sameMs = 2_000;

export function createBanRegistry(options: BanRegistryOptions): BanRegistry {
  const { log, now } = options;
  let { policy, exempt } = options.rules;
  const list = new BanList({
    policy,
    bounds: options.bounds ?? defaultBounds,
    isExempt: (client) => exempt.hasClient(client),
    onEvicted,
  });
  const receivers = new Set<BanReceiver>();
  const listeners: ((client: string, isLifted: boolean) => void)[] = [];
  const { active, started } = createBanMetrics(options.metrics);
  for (const reason of banReasons) started.of(reason);
  options.metrics.onCollect(() => active.of().set(list.size));

  function announce(ban: Ban): void {
    for (const receiver of receivers) receiver.started([{ client: ban.client, until: ban.until }]);
  }

  function share(client: string, isLifted: boolean): void {
    for (const listener of listeners) listener(client, isLifted);
  }

  function start(ban: Ban, fields: Readonly<Record<string, unknown>> = {}): void {
    const { client, reason, nth, startedAt, until } = ban;
    started.of(reason).add();
    log.warning('ban.started', { client, reason, nth, seconds: toSeconds(until - startedAt), ...fields });
    announce(ban);
    share(client, false);
  }

  function end(client: string, how: string, fields: Readonly<Record<string, unknown>> = {}): void {
    log.info('ban.ended', { client, how, ...fields });
    for (const receiver of receivers) receiver.lifted([client]);
  }

  function onEvicted({ client }: Ban): void {
    end(client, 'evicted');
  }

  function changeOf({ client, reason, nth, note, startedAt, until }: Ban): BanChange {
    const time = now();
    return { client, isLifted: false, reason, nth, note, ageMs: time - startedAt, remainingMs: until - time };
  }

  function reportOf(ban: Ban): BanReport {
    const { id, client, reason, nth, note, startedAt, until } = ban;
    const time = now();
    const sinceEpoch = Date.now() - time;
    const toDate = (at: number) => new Date(sinceEpoch + at);
    return {
      ...{ id, client, reason, nth, note },
      startedAt: toDate(startedAt),
      endsAt: toDate(until),
      remainingMs: Math.max(0, until - time),
    };
  }

  function adoptOne({ client, isLifted, reason, nth, note, ageMs, remainingMs }: BanChange): void {
    const time = now();
    const known = list.find(client, time);
    if (isLifted) {
      list.lift(client, time);
      if (known !== undefined) for (const each of receivers) each.lifted([client]);
    } else if (!exempt.hasClient(client)) {
      const until = time + remainingMs;
      // A change of this node comes back too, a little later or earlier.
      if (known?.reason === reason && Math.abs(known.until - until) < sameMs) return;
      const ban = list.adopt({ client, reason, nth, note, startedAt: time - ageMs, until }, time);
      if (ban !== undefined) announce(ban);
    }
  }

  return {
    report(offenders) {
      for (const { client, ...offences } of offenders) {
        const ban = list.offend(client, offences, now());
        if (ban !== undefined) start(ban);
      }
    },
    connect(receiver) {
      const bans = Array.from(list.all(), ({ client, until }): ActiveBan => ({ client, until }));
      for (let at = 0; at < bans.length; at += maxClients) receiver.started(bans.slice(at, at + maxClients));
      receivers.add(receiver);
      return () => void receivers.delete(receiver);
    },
    configure(rules) {
      ({ policy, exempt } = rules);
      list.policy = policy;
      for (const { client } of [...list.all()]) {
        if (!exempt.hasClient(client)) continue;
        list.lift(client, now());
        end(client, 'exempt');
      }
    },
    adopt(changes) {
      for (const change of changes) adoptOne(change);
    },
    onChange: (listener) => void listeners.push(listener),
    changeOf(client) {
      const ban = list.find(client, now());
      return ban && changeOf(ban);
    },
    clients: () => Array.from(list.all(), ({ client }) => client),
    keepMs: () => policy.forgetMs,
    sweep: () => void list.expire(now()),
    page(limit, before = Number.POSITIVE_INFINITY) {
      const time = now();
      const all = Array.from(list.all()).filter(({ until }) => until > time);
      const older = all.reverse().filter(({ id }) => id < before);
      const shown = older.slice(0, limit);
      return {
        bans: shown.map(reportOf),
        total: all.length,
        before: older.length > shown.length ? shown.at(-1)?.id : undefined,
      };
    },
    find(client) {
      const ban = list.find(client, now());
      return ban && reportOf(ban);
    },
    ban({ client, ms, note, operator }) {
      if (exempt.hasClient(client)) {
        throw new AppError(
          'conflict',
          `${client} is never banned: it is a private address, a trusted proxy, or in SECURITY_BAN_ALLOWED_ADDRESSES.`,
        );
      }
      const ban = list.ban(client, ms, note, now());
      if (ban === undefined) {
        throw new AppError('conflict', 'There are too many bans by hand: lift some, or use a firewall.');
      }
      start(ban, { note, operator });
      return reportOf(ban);
    },
    lift(client, operator) {
      const ban = list.lift(client, now());
      if (ban === undefined) return false;
      end(client, 'lifted', { operator });
      share(client, true);
      return true;
    },
  };
}

function toSeconds(ms: number): number {
  return Math.round(ms / 1000);
}
