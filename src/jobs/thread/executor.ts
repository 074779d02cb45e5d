/**
 * The executor: what runs attempts, one at a time. There are two kinds behind one interface: a thread of this process, and a
 * separate process with a thread inside. Both use the messages of `thread-messages.ts`. An executor only transports
 * messages; `supervised-executor.ts` adds timeouts, states and outcomes.
 */

import type { ChildProcess } from 'node:child_process';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { systemErrorCode } from '../../errors.ts';
import { toAttemptError } from './outcome.ts';
import type { AttemptError, ToThread } from './thread-messages.ts';

/** Callbacks for its owner. `ended` is the last one, and is called once. */
export interface ExecutorEvents {
  message(message: unknown): void;
  /** A message could not be deserialised. */
  unreadable(error: unknown): void;
  /** The executor is about to exit because of this error. */
  failed(error: AttemptError): void;
  /** The executor has exited. `cause` names the exit code or signal. */
  ended(cause: AttemptError): void;
}

export interface Executor {
  /** Throws if the message cannot be serialised. */
  post(message: ToThread): void;
  terminate(): void;
}

/** Starts an executor. Throws the system's error if it cannot. */
export type StartExecutor = (events: ExecutorEvents) => Executor;

export interface ThreadSource {
  /** The file that the thread runs. It calls `runTasks`. */
  readonly entry: URL;
  readonly workerData: unknown;
  /** Heap limit. A thread that exceeds it is terminated. */
  readonly memoryMb: number;
}

export function threadStarter({ entry, workerData, memoryMb }: ThreadSource): StartExecutor {
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

/** `spawn` starts a process that calls `runIsolated`, with an IPC channel of serialization `advanced`. */
export function processStarter(spawn: () => ChildProcess): StartExecutor {
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

/**
 * Returns the options with which Node starts a thread for `entry`. A thread inherits the arguments of the process,
 * which is enough for compiled files. For a TypeScript source, a Node that cannot run it needs tsx in each thread as
 * well.
 */
function threadArguments(entry: URL): Pick<WorkerOptions, 'execArgv'> {
  const readsTypeScript = Boolean(Reflect.get(process.features, 'typescript'));
  if (!entry.pathname.endsWith('.ts') || readsTypeScript) return {};
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return {
    execArgv: ['--import', `data:text/javascript,import { register } from ${loader}; register();`],
  };
}

function crashError(code: number | null, signal: NodeJS.Signals | null): AttemptError {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}${hints[signal] ?? ''}`;
  return { code: 'crashed', message: `The process that ran this job in isolation was terminated ${how}.` };
}

const hints: Readonly<Record<string, string>> = {
  SIGABRT: ' (an abort, or JavaScript out of memory)',
  SIGKILL: ' (from outside, or because the system was out of memory)',
};

/**
 * Returns the size of the young generation. At the heap limit it moves to the old generation at once and must fit into
 * the 16 MB that Node has to spare; the default of newer versions of Node, 32 MB and more, does not.
 */
function youngMb(memoryMb: number): number {
  return Math.min(16, Math.ceil(memoryMb / 8));
}

function isOutOfMemory(error: unknown): boolean {
  return systemErrorCode(error) === 'ERR_WORKER_OUT_OF_MEMORY';
}
