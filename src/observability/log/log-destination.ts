import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import pino from 'pino';
import type { LogDestination } from '../logger.ts';
import { maxLineBytes } from './bound-line.ts';
import { formatConsoleLine } from './console-line.ts';
import { gatherLines } from './gather-lines.ts';
import { createPipeDestination, openPipe } from './pipe-destination.ts';

/** The limits of a batch of lines: its age and its size. */
const gatherMs = 20;
/** Each batch makes a round trip through the thread pool: with a quarter of this size, a request costs 2 to 3 % more. */
const gatherBytes = 262_144;
/** Linux puts a write of up to 32 KiB to a UNIX socket into one buffer, so it is not interleaved with other writers. */
const socketBytes = 16_384;

/** The maximum number of bytes that wait for a slow reader. Further lines are dropped, so that memory is bounded. */
const maxWaiting = 64 * 1024 * 1024;

/** How long a reader that has stopped reading can delay the exit of the process. */
const flushDeadlineMs = 2000;

/** How lines are written: unchanged, or as text for a person. */
export type LogFormat = 'json' | 'console';

/**
 * Returns the format that `auto` means: text if a person reads it, which is on a terminal in the environment `local`, and
 * JSON everywhere else.
 */
export function chooseLogFormat(
  setting: 'auto' | LogFormat,
  environment: string,
  isTerminal: boolean = isatty(1),
): LogFormat {
  if (setting !== 'auto') return setting;
  return environment === 'local' && isTerminal ? 'console' : 'json';
}

/**
 * Opens standard output for log lines: unchanged (`json`), or as text (`console`, see `console-line.ts`), in colours if the
 * terminal supports them and NO_COLOR is not set.
 *
 * Lines are batched and written in the thread pool: under load one write per line would cost more than the rest of the
 * logging. A slow reader delays no request; up to 64 MiB wait in memory. If the process is killed with SIGKILL, the lines of
 * the last 20 ms are lost.
 *
 * Several processes share standard output, so a write must reach it in one piece:
 *
 *     a pipe                       4,096 bytes, without blocking (`pipe-destination.ts`)
 *     a pipe of another user       4,096 bytes, blocking in the thread pool, since it cannot be opened a second time
 *     a socket (journald, Node)   16,384 bytes, blocking in the thread pool
 *     a file                     262,144 bytes: the kernel locks a file during a write
 */
export function openLogDestination(format: LogFormat): LogDestination {
  if (format === 'console') return createConsoleDestination();
  const pipe = openPipe(1);
  if (pipe !== undefined) return createPipeDestination(pipe, { gatherMs, maxWaiting, flushDeadlineMs });
  const bytes = bytesOfOneWrite();
  const stdout = openStdout('buffer', bytes);
  // The types of pino's destination accept only text.
  const take = (lines: Uint8Array) => Reflect.apply(stdout.write, stdout, [Buffer.from(lines)]);
  const gathered = gatherLines({ bytes, ms: gatherMs, take });
  return {
    write: gathered.add,
    async flush() {
      gathered.pass();
      await flush(stdout);
    },
  };
}

/** Returns the maximum size of a write to standard output that is not interleaved with those of other processes. */
function bytesOfOneWrite(): number {
  try {
    const stdout = fstatSync(1);
    if (stdout.isFIFO()) return maxLineBytes;
    return stdout.isSocket() ? socketBytes : gatherBytes;
  } catch {
    return maxLineBytes; // Standard output is closed.
  }
}

/** A person waits for these lines, so they are not batched. */
function createConsoleDestination(): LogDestination {
  const stdout = openStdout('utf8', gatherBytes);
  const useColours = isatty(1) && process.stdout.hasColors();
  return {
    write: (line) => void stdout.write(formatConsoleLine(line, useColours)),
    flush: () => flush(stdout),
  };
}

type Stdout = ReturnType<typeof pino.destination>;

function openStdout(contentMode: 'buffer' | 'utf8', maxWrite: number): Stdout {
  // With a minLength of 0, flush would not wait for the current write.
  const stdout = pino.destination({
    ...{ dest: 1, sync: false, minLength: 1, maxWrite, maxLength: maxWaiting, contentMode },
  });
  // An error of standard output, such as a closed pipe, must not stop the server.
  stdout.on('error', () => {});
  // At exit pino would retry endlessly on a full disk. The process has awaited `flush` before, which has a deadline.
  stdout.flushSync = () => {};
  return stdout;
}

/** Resolves when all lines have been written, or after the deadline. */
async function flush(stdout: Stdout): Promise<void> {
  await new Promise<void>((resolve) => {
    stdout.flush(() => resolve());
    // Not withTimeout, whose timer keeps the process running until the deadline.
    setTimeout(resolve, flushDeadlineMs).unref();
  });
}
