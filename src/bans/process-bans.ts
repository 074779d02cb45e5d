import { clientKey } from '../http/connection/addresses.ts';
import {
  type BanChannel,
  type BanReceiver,
  type ClientOffences,
  maxClients,
  maxFailures,
} from './ban-messages.ts';
import type { ExemptClients } from './exempt-clients.ts';

/** The bans as a process of requests knows them. */
export interface ProcessBans {
  /** The number of bans. With 0, no request need be looked up. */
  readonly size: number;
  /** Returns how long a client (`clientKey`) is still banned, in milliseconds; 0 if it is not. */
  remainingMs(client: string): number;
  /** Counts a request of this address over a rate limit. */
  reportViolation(address: string): void;
  /** Counts a failed authentication from this address; `credential` is a digest of its credential. */
  reportFailure(address: string, credential: number): void;
  /** Sends what is left, and stops. Idempotent. */
  stop(): void;
}

export interface ProcessBansOptions {
  readonly channel: BanChannel;
  readonly exempt: ExemptClients;
  /** The clock of the host, in milliseconds: the one of the registry. */
  readonly now: () => number;
}

/** A process without bans. */
export const noBans: ProcessBans = {
  size: 0,
  remainingMs: () => 0,
  reportViolation() {},
  reportFailure() {},
  stop() {},
};

/** How long offences are collected before they are sent, in milliseconds. A flood is thus a few messages per second. */
const collectMs = 100;
/** How often bans are removed whose time is over. */
const expireMs = 10_000;

interface Counted {
  violations: number;
  readonly failures: Set<number>;
}

/** Creates the copy of a process. It is empty until the registry has sent its bans. */
export function createProcessBans({ channel, exempt, now }: ProcessBansOptions): ProcessBans {
  const bans = new Map<string, number>();
  let offenders = new Map<string, Counted>();
  let timer: NodeJS.Timeout | undefined;

  const receiver: BanReceiver = {
    started(started) {
      for (const { client, until } of started) {
        // The allow list of this process may be newer than the one that the registry had when the ban started.
        if (!exempt.hasClient(client)) bans.set(client, until);
      }
    },
    lifted(clients) {
      for (const client of clients) bans.delete(client);
    },
  };
  channel.listen(receiver);
  const expiry = setInterval(expire, expireMs).unref();

  function expire(): void {
    const time = now();
    for (const [client, until] of bans) if (until <= time) bans.delete(client);
  }

  /** Returns the counts of a client since the last message. The registry ignores clients that are exempt. */
  function countsOf(address: string): Counted {
    const client = clientKey(address);
    const known = offenders.get(client);
    if (known !== undefined) return known;
    if (offenders.size >= maxClients) send();
    const made = { violations: 0, failures: new Set<number>() };
    offenders.set(client, made);
    timer ??= setTimeout(send, collectMs).unref();
    return made;
  }

  function send(): void {
    clearTimeout(timer);
    timer = undefined;
    if (offenders.size === 0) return;
    const reported = Array.from(
      offenders,
      ([client, { violations, failures }]): ClientOffences => ({
        client,
        violations,
        failures: [...failures],
      }),
    );
    offenders = new Map();
    channel.report(reported);
  }

  return {
    get size() {
      return bans.size;
    },
    remainingMs(client) {
      const until = bans.get(client);
      return until === undefined ? 0 : Math.max(0, until - now());
    },
    reportViolation(address) {
      countsOf(address).violations += 1;
    },
    reportFailure(address, credential) {
      const { failures } = countsOf(address);
      if (failures.size < maxFailures) failures.add(credential);
    },
    stop() {
      clearInterval(expiry);
      send();
    },
  };
}
