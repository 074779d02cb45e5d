/**
 * Exchanges the bans of a node with the other nodes, over a store that they share:
 *
 *     registry --onChange--> pending --write--> store (Redis or PostgreSQL)
 *     registry <--adopt------------- --read---
 *
 * A round writes the pending changes, and then reads all changes since the last round. Rounds are a second apart, and a change
 * of this node starts one at once. So a ban reaches the other nodes within about a second, and no request waits for the store.
 *
 *         a round fails or is late
 *     up  ------------------------>  down: the node bans alone; changes stay pending
 *         <------------------------
 *         a round succeeds
 *
 * A store that was emptied has another epoch. Then each node writes all of its bans again, so that none is lost. A store that
 * keeps its data also has the bans from before a restart of all nodes.
 */

import { createInterruptibleSleep } from '../../concurrency/interruptible-sleep.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { reasonOf } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { BanChange, BanRegistry } from '../ban-registry.ts';
import { type BanCursor, type BanStore, maxChanges } from './ban-store.ts';

export interface BanExchangeOptions {
  readonly store: BanStore;
  readonly registry: BanRegistry;
  readonly log: Logger;
  /** Called at the start and with each change of the state. */
  readonly onState: (isUp: boolean) => void;
  /** The time between two rounds, in milliseconds. Default: 1 s. */
  readonly everyMs?: number;
  /** The longest duration of a round, in milliseconds. Default: 5 s. */
  readonly timeoutMs?: number;
}

export interface BanExchange {
  /** Resolves when the first round has ended, or failed. Never rejects. */
  readonly started: Promise<void>;
  /** Waits for the current round, at most for half a second. Idempotent. */
  stop(): Promise<void>;
}

/** The maximum number of pending changes; beyond it the oldest are not shared. */
const maxPending = 50_000;

export function startBanExchange(options: BanExchangeOptions): BanExchange {
  const { store, registry, log, onState, everyMs = 1_000, timeoutMs = 5_000 } = options;
  /** The clients with changes, and whether their ban was lifted. */
  const pending = new Map<string, { readonly isLifted: boolean }>();
  const sleep = createInterruptibleSleep();
  let cursor: BanCursor | undefined;
  let isUp: boolean | undefined;
  let isStopped = false;

  registry.onChange((client, isLifted) => {
    enqueue(client, isLifted);
    if (isUp !== false) sleep.wake();
  });

  function enqueue(client: string, isLifted: boolean): void {
    pending.delete(client);
    pending.set(client, { isLifted });
    const [oldest] = pending.keys();
    if (pending.size > maxPending && oldest !== undefined) pending.delete(oldest);
  }

  async function runRound(): Promise<void> {
    await writePending();
    let hasMore = true;
    while (hasMore && !isStopped) {
      const page = await store.read(cursor);
      const wasEmptied = cursor !== undefined && cursor.epoch !== '' && cursor.epoch !== page.cursor.epoch;
      if (wasEmptied) for (const client of registry.clients()) enqueue(client, false);
      // A client with a pending change has a newer one here than in the store.
      registry.adopt(page.changes.filter(({ client }) => !pending.has(client)));
      cursor = page.cursor;
      hasMore = page.hasMore;
    }
    if (pending.size > 0) sleep.wake();
  }

  async function writePending(): Promise<void> {
    const batch = [...pending].slice(0, maxChanges);
    const changes = batch.flatMap(([client, { isLifted }]) => {
      const change = isLifted ? liftOf(client) : registry.changeOf(client);
      return change === undefined ? [] : [change];
    });
    if (changes.length > 0) await store.write(changes, registry.keepMs());
    // A client can have changed again meanwhile.
    for (const [client, entry] of batch) if (pending.get(client) === entry) pending.delete(client);
  }

  function become(now: boolean, error?: unknown): void {
    if (isUp === now) return;
    const wasKnown = isUp !== undefined;
    isUp = now;
    onState(now);
    if (now) {
      if (wasKnown) log.info('ban.store_restored', { store: store.name });
      return;
    }
    log.error('ban.store_failed', {
      store: store.name,
      // Not the error: reading its stack with source maps takes a tenth of a second.
      reason: reasonOf(error),
      advice: 'Until the store answers again, this node does not learn of the bans of other nodes.',
    });
  }

  async function tryRound(): Promise<void> {
    try {
      await withTimeout(runRound(), timeoutMs, () => {
        throw new Error(`No answer within ${timeoutMs} ms.`);
      });
      become(true);
    } catch (error) {
      if (!isStopped) become(false, error);
    }
  }

  async function run(first: Promise<void>): Promise<void> {
    await first;
    while (!isStopped) {
      await sleep.for(isUp ? everyMs : everyMs * (0.5 + Math.random()));
      if (!isStopped) await tryRound();
    }
  }

  const started = tryRound();
  const running = run(started);
  return {
    started,
    async stop() {
      isStopped = true;
      sleep.wake();
      await withTimeout(running, 500, () => {});
    },
  };
}

function liftOf(client: string): BanChange {
  return { client, isLifted: true, reason: 'manual', nth: 0, note: '', ageMs: 0, remainingMs: 0 };
}
