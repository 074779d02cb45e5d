/**
 * The two things that can run attempts for a pool, behind one interface: a thread of this process, and a process of its
 * own with a thread inside. Both understand the messages of `thread-messages.ts`.
 */

import type { ChildProcess } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { toAttemptError } from './outcome.ts';
import { threadArguments } from './thread-arguments.ts';
import type { AttemptError, ToThread } from './thread-messages.ts';

/** What becomes of it, told to whoever has started it. `ended` is the last, and comes once. */
export interface ThreadEvents {
  message(message: unknown): void;
  /** A message arrived that cannot be read. */
  unreadable(error: unknown): void;
  /** It is about to end because of this. */
  failed(error: AttemptError): void;
  /** It has ended; `how` says with what code or signal. */
  ended(how: AttemptError): void;
}

export interface ThreadHandle {
  /** Throws for what cannot be copied. */
  post(message: ToThread): void;
  terminate(): void;
}

/** Starts one. Throws the system's error if there is no room for it. */
export type StartThread = (events: ThreadEvents) => ThreadHandle;

export interface ThreadSource {
  /** The file that the thread runs, which calls `runTasks`. */
  readonly entry: URL;
  readonly workerData: unknown;
  /** The limit of its heap: a thread that exceeds it ends. */
  readonly memoryMb: number;
}

export function threadStarter({ entry, workerData, memoryMb }: ThreadSource): StartThread {
  return (events) => {
    const worker = new Worker(entry, {
      workerData,
      ...threadArguments(entry),
      resourceLimits: { maxOldGenerationSizeMb: memoryMb, maxYoungGenerationSizeMb: youngMb(memoryMb) },
    });
    worker.on('message', events.message);
    worker.on('messageerror', events.unreadable);
    worker.on('error', (error: unknown) =>
      events.failed(
        isOutOfMemory(error)
          ? { code: 'out_of_memory', message: `The thread used more than its ${memoryMb} MB of memory.` }
          : toAttemptError('thread_ended', error),
      ),
    );
    worker.on('exit', (code) =>
      events.ended({ code: 'thread_ended', message: `The thread exited with code ${code}.` }),
    );
    return { post: (message) => worker.postMessage(message), terminate: () => void worker.terminate() };
  };
}

/** `spawn` starts a process that calls `runIsolated`, with a channel of serialization `advanced`. */
export function processStarter(spawn: () => ChildProcess): StartThread {
  return (events) => {
    const child = spawn();
    child.on('message', events.message);
    child.on('exit', (code, signal) => events.ended(crashError(code, signal)));
    child.on('error', (error) => {
      events.failed(toAttemptError('crashed', error));
      // A process that could not be started has no `exit`.
      if (child.pid === undefined) events.ended(toAttemptError('crashed', error));
    });
    return {
      post: (message) => void (child.connected && child.send(message, () => {})),
      terminate: () => void child.kill('SIGKILL'),
    };
  };
}

function crashError(code: number | null, signal: NodeJS.Signals | null): AttemptError {
  const how = signal === null ? `with code ${code}` : `by ${signal}${hints[signal] ?? ''}`;
  return { code: 'crashed', message: `The process that ran this job alone was ended ${how}.` };
}

const hints: Readonly<Record<string, string>> = {
  SIGABRT: ' (an abort, or JavaScript out of memory)',
  SIGKILL: ' (from outside, or because the system was out of memory)',
};

/**
 * What is young moves to the old generation at once, and must fit into the 16 MB that Node leaves at the limit; the
 * default of newer versions of Node, 32 MB and more, does not.
 */
function youngMb(memoryMb: number): number {
  return Math.min(16, Math.ceil(memoryMb / 8));
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
}
