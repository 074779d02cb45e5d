/**
 * How bans reach the processes that enforce them:
 *
 *     process of requests                                registry (in the primary, or in the single process)
 *     counts offences for 100 ms  -- ClientOffences ->    decides: enough for a ban?  (resilience/ban-list.ts)
 *     refuses banned clients      <- BanReceiver ------   starts and ends of bans, to all processes
 *
 * A request never waits for the registry: it is refused if the copy of its process has a ban (`process-bans.ts`). A ban is in
 * force in all processes of a node about 100 ms after the offence that caused it. If messages are lost, because the primary or
 * a worker is killed, offences are not counted, or a ban ends in the worker by its own time.
 */

import type { Offences } from '../resilience/ban-list.ts';

/** The offences of one client (`clientKey`). */
export interface ClientOffences extends Offences {
  readonly client: string;
}

/** A ban as the processes of requests know it. */
export interface ActiveBan {
  readonly client: string;
  /** By the clock of the host, in milliseconds. */
  readonly until: number;
}

/** Receives changes of bans. */
export interface BanReceiver {
  started(bans: readonly ActiveBan[]): void;
  /** These clients are no longer banned. Not called for bans whose time is over. */
  lifted(clients: readonly string[]): void;
}

/** The end of the channel in a process of requests. */
export interface BanChannel {
  report(offenders: readonly ClientOffences[]): void;
  listen(receiver: BanReceiver): void;
}

/** The maximum number of clients in one message. */
export const maxClients = 1_000;

/** The maximum number of failed credentials of one client in one message; further ones are not counted. */
export const maxFailures = 100;
