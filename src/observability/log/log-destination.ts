import { fstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import pino from 'pino';
import { needsPackage, StartError } from '../../errors.ts';
import type { LogDestination } from '../logger.ts';
import { maxLineBytes } from './bound-line.ts';
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

/**
 * Opens standard output for log lines: unchanged (`json`), or coloured for a terminal (`console`, through `pino-pretty`,
 * which is a development package). Throws a StartError if that package is missing.
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
export function openLogDestination(format: 'json' | 'console'): LogDestination {
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

function createConsoleDestination(): LogDestination {
  const stdout = openStdout('utf8', gatherBytes);
  const pretty = loadPretty()({ ...prettyOptions, destination: stdout });
  return {
    write: (line) => void pretty.write(keepEscapes(line)),
    async flush() {
      await new Promise<void>((resolve) => pretty.write('', () => resolve()));
      await flush(stdout);
    },
  };
}

/** pino-pretty parses a line and writes its texts unescaped. This keeps the escapes that protect the terminal. */
function keepEscapes(line: string): string {
  return line.includes('\\u') ? line.replace(/\\(u[0-9a-f]{4}|.)/g, keepEscape) : line;
}

function keepEscape(token: string): string {
  return token.length > 2 ? `\\${token}` : token;
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
    setTimeout(resolve, flushDeadlineMs).unref();
  });
}

const prettyOptions = {
  colorize: process.stdout.isTTY === true,
  customLevels: 'debug:20,info:30,warning:40,error:50,critical:60',
  customColors: 'debug:blue,info:green,warning:yellow,error:red,critical:bgRed',
  levelKey: 'level',
  messageKey: 'event',
  timestampKey: 'timestamp',
  errorLikeObjectKeys: ['error'],
  singleLine: true,
};

function loadPretty(): typeof import('pino-pretty') {
  try {
    return createRequire(import.meta.url)('pino-pretty');
  } catch (cause) {
    const needs = needsPackage('pino-pretty', cause);
    throw new StartError(`APP_LOG_FORMAT=console ${needs}, or set APP_LOG_FORMAT=json.`, { cause });
  }
}
