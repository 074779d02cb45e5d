import type { Logger } from '../observability/logger.ts';
import type { SupervisedWorker } from './supervised-worker.ts';
import { createWatchdog } from './watchdog.ts';

export interface SilenceOptions {
  readonly workers: Iterable<SupervisedWorker>;
  /** How long a worker may be silent at present, in milliseconds. */
  readonly silenceMs: () => number;
  readonly log: Logger;
}

const everyMs = 1_000;

/** Looks every second for workers that have said nothing for too long, and kills them. Returns how to end that. */
export function watchSilence({ workers, silenceMs, log }: SilenceOptions): () => void {
  const watchdog = createWatchdog<SupervisedWorker>();
  const timer = setInterval(() => {
    for (const worker of watchdog.check(workers, performance.now(), silenceMs())) {
      const { id, kind, pid, silentSeconds } = worker.report();
      const who = kind === 'jobs' ? { job_process: id, pid } : { worker: id, pid };
      log.error('worker.silent', { ...who, silent_seconds: silentSeconds });
      worker.kill('silent');
    }
  }, everyMs);
  return () => clearInterval(timer);
}
