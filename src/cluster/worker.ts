import type { LimitAnswer, LimitChannel } from '../limits/cluster.ts';
import { readToWorker, type ToPrimary } from './messages.ts';

/** A worker's end of the channel to its primary. */
export interface PrimaryChannel {
  readonly limits: LimitChannel;
  /** Resolves with the primary's answer: the database is ready, open the server. */
  readonly begun: Promise<{ readonly databaseUrl: string | null }>;
  /** Resolves when the message is on its way, or cannot be. */
  send(message: ToPrimary): Promise<void>;
  /** Calls back when the primary says stop, and when it is gone: a worker alone would serve on unsupervised. */
  onStop(stop: () => void): void;
}

/** Opens the channel. Call it once, early: messages that come before are lost. */
export function openPrimaryChannel(): PrimaryChannel {
  let decide: ((answer: LimitAnswer) => void) | undefined;
  let stop: (() => void) | undefined;
  let stopAsked = false;
  const askStop = () => {
    stopAsked = true;
    stop?.();
  };
  const send = (message: ToPrimary) =>
    new Promise<void>((resolve) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
      else resolve();
    });
  const begun = new Promise<{ databaseUrl: string | null }>((resolve) => {
    process.on('message', (message: unknown) => {
      const known = readToWorker(message);
      if (known?.kind === 'decision') decide?.(known);
      else if (known?.kind === 'stop') askStop();
      else if (known?.kind === 'begin') resolve(known);
    });
  });
  process.on('disconnect', askStop);
  void send({ kind: 'hello' });
  return {
    begun,
    send,
    limits: {
      define: ({ name, policies }) => void send({ kind: 'limit', name, policies: [...policies] }),
      ask: (question) => void send({ kind: 'take', ...question }),
      onDecision: (receive) => {
        decide = receive;
      },
    },
    onStop(given) {
      stop = given;
      if (stopAsked) given();
    },
  };
}
