/**
 * Connects a worker to the parts of the primary that decide for all workers: permits of the rate limit, bans, and loads of
 * cached values. Each part keeps its own state.
 */

import type { BanRegistry } from '../bans/ban-registry.ts';
import type { PrimaryLoads } from '../cache/primary-loads.ts';
import type { PrimaryLimits } from '../limits/primary-limits.ts';
import type { ToChild, ToSupervisor } from './messages.ts';

export interface PrimaryServices {
  /** The permits of all workers. */
  readonly limits: PrimaryLimits;
  /** The bans of the node; undefined if the ban list is off. */
  readonly bans: BanRegistry | undefined;
  /** The loads of cached values in all workers. */
  readonly loads: PrimaryLoads;
}

export interface WorkerServices {
  receive(message: ToSupervisor): void;
  /** Sends the bans. Call it when the worker listens to messages, and before it starts to answer requests. */
  begin(): void;
  /** Frees what the worker has, after it exited. */
  close(): void;
}

export function connectWorker(
  { limits, bans, loads }: PrimaryServices,
  send: (message: ToChild) => void,
): WorkerServices {
  const permits = limits.connect({
    answer: (answer) => send({ kind: 'decision', ...answer }),
    recall: (lease) => send({ kind: 'recall', lease }),
  });
  const workerLoads = loads.connect({
    enter: (id, state) => send({ kind: 'load-state', id, state }),
    receive: (id, value) => send({ kind: 'load-value', id, value }),
  });
  let disconnectBans: (() => void) | undefined;
  return {
    receive(message) {
      if (message.kind === 'take') permits.ask(message);
      else if (message.kind === 'return') permits.returnLease(message);
      else if (message.kind === 'limit') permits.define(message);
      else if (message.kind === 'offences') bans?.report(message.offenders);
      else if (message.kind === 'load') workerLoads.ask(message);
      else if (message.kind === 'load-end') workerLoads.finish(message.id, message.value);
      else if (message.kind === 'load-revoke') loads.invalidate(message);
    },
    begin() {
      disconnectBans?.();
      disconnectBans = bans?.connect({
        started: (started) => send({ kind: 'banned', bans: [...started] }),
        lifted: (clients) => send({ kind: 'unbanned', clients: [...clients] }),
      });
    },
    close() {
      permits.close();
      disconnectBans?.();
      workerLoads.close();
    },
  };
}
