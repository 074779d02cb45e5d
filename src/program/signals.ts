import { isatty } from 'node:tty';
import type { LogDestination, Logger } from '../observability/logger.ts';
import { flushAndExit } from './exit-process.ts';
import { stopLimits } from './stop-limits.ts';

/**
 * The signals of a program that is not supervised, by what they request. Before a listener for reload or resize is set,
 * those signals do nothing.
 *
 *     SIGTERM, SIGINT     stop, within the grace time; a second one exits at once
 *     SIGHUP              reload; stop, if it came because the terminal was closed
 *     SIGTTIN, SIGTTOU    one worker more, one fewer
 */
export interface Signals {
  /**
   * Resolves at the first SIGTERM or SIGINT. From then on the process has its grace time and `stopLimits.process`, after
   * which it exits in any case.
   */
  readonly stop: Promise<void>;
  onReload(reload: () => void): void;
  onResize(resize: (by: number) => void): void;
}

export interface SignalOptions {
  readonly log: Logger;
  readonly destination: LogDestination;
  /** The grace time of requests and jobs, in milliseconds. */
  readonly graceMs: number;
}

/**
 * A terminal sends Ctrl+C to npm and to this process, and npm forwards it. A second SIGINT within this time, in
 * milliseconds, is that copy, and no second request.
 */
const copyMs = 100;

/** Replaces the default action of the signals. */
export function handleSignals({ log, destination, graceMs }: SignalOptions): Signals {
  const hadTerminal = isatty(0);
  let reload: () => void = () => {};
  let resize: (by: number) => void = () => {};
  const stop = new Promise<void>((resolve) => {
    let stoppingSince: number | undefined;
    const requestStop = () => {
      if (stoppingSince === undefined) setTimeout(forceExit, graceMs + stopLimits.process).unref();
      stoppingSince ??= performance.now();
      resolve();
    };
    const forceExit = () => {
      const error = new Error(`The process did not stop within ${graceMs + stopLimits.process} ms.`);
      log.error('application.failed', { part: 'process', step: 'close', error });
      flushAndExit(destination, 0);
    };
    for (const [signal, number] of [
      ['SIGINT', 2],
      ['SIGTERM', 15],
    ] as const) {
      process.on(signal, () => {
        const isCopy =
          signal === 'SIGINT' && stoppingSince !== undefined && performance.now() - stoppingSince < copyMs;
        if (isCopy) return;
        if (stoppingSince === undefined) requestStop();
        else flushAndExit(destination, 128 + number);
      });
    }
    // A terminal that is closed sends SIGHUP too. The program stops then, since no user is left to stop it.
    process.on('SIGHUP', () => (hadTerminal && !isatty(0) ? requestStop() : reload()));
    process.on('SIGTTIN', () => resize(1));
    process.on('SIGTTOU', () => resize(-1));
  });
  return {
    stop,
    onReload(listener) {
      reload = listener;
    },
    onResize(listener) {
      resize = listener;
    },
  };
}

/** A terminal sends its signals to every process of the program. A supervised one leaves them to its supervisor. */
export function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGTTIN', 'SIGTTOU'] as const) {
    process.on(signal, () => {});
  }
}
