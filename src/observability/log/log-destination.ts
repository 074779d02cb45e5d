import { fstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import pino from 'pino';
import { needsPackage, StartError } from '../../errors.ts';
import type { LogDestination } from '../logger.ts';
import { gatherLines } from './gather-lines.ts';
import { atomicBytes, createPipeDestination, openPipe } from './pipe-destination.ts';

/** Lines wait for at most this long, and for at most this many bytes, to be written together. */
const gatherMs = 20;
/** Each part goes through the thread pool and back: with a quarter of these bytes a request costs 2 to 3 % more. */
const gatherBytes = 262_144;
/** Linux puts a write to a UNIX socket of up to 32 KiB into one buffer, and buffers of several writers in turn. */
const socketBytes = 16_384;

/** So many bytes wait for a slow reader; what comes then is dropped, so that it cannot exhaust the memory. */
const maxWaiting = 64 * 1024 * 1024;

/** A reader that has stopped reading keeps the process from ending for at most this long. */
const flushDeadlineMs = 2000;

/**
 * Opens standard output for log lines: as they are (`json`), or coloured for a person (`console`, through
 * `pino-pretty`, which is a development package). Throws a StartError if that package is missing.
 *
 * Lines are gathered for a moment and written together, in the thread pool: under load a write for each line
 * would cost more than the rest of the logging. A reader that does not keep up slows nobody down; up to 64 MiB wait in
 * memory. What is lost when the process is killed with SIGKILL are the lines of the last moment.
 *
 * Several processes share standard output, so a write must reach it in one piece:
 *
 *     a pipe                       4,096 bytes, without blocking (`pipe-destination.ts`)
 *     a pipe of another user       4,096 bytes, blocking in the thread pool: it cannot be opened a second time
 *     a socket (journald, Node)   16,384 bytes, blocking in the thread pool
 *     a file                     262,144 bytes: the kernel locks a file for the time of a write
 */
export function openLogDestination(format: 'json' | 'console'): LogDestination {
  if (format === 'console') return createConsoleDestination();
  const pipe = openPipe(1);
  if (pipe !== undefined) return createPipeDestination(pipe, { gatherMs, maxWaiting, flushDeadlineMs });
  const bytes = bytesOfOneWrite();
  const stdout = openStdout('buffer', bytes);
  // Its types know of text alone.
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

/** How many bytes a write to standard output may have, so that those of other processes do not come between. */
function bytesOfOneWrite(): number {
  try {
    const stdout = fstatSync(1);
    if (stdout.isFIFO()) return atomicBytes;
    return stdout.isSocket() ? socketBytes : gatherBytes;
  } catch {
    return atomicBytes; // It is closed.
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

/** pino-pretty parses a line and writes its texts as they are: what was escaped for the terminal's sake stays escaped. */
function keepEscapes(line: string): string {
  return line.includes('\\u') ? line.replace(/\\(u[0-9a-f]{4}|.)/g, keepEscape) : line;
}

function keepEscape(token: string): string {
  return token.length > 2 ? `\\${token}` : token;
}

type Stdout = ReturnType<typeof pino.destination>;

function openStdout(contentMode: 'buffer' | 'utf8', maxWrite: number): Stdout {
  // With a minLength of 0 its flush would not wait for the write that is under way.
  const stdout = pino.destination({
    ...{ dest: 1, sync: false, minLength: 1, maxWrite, maxLength: maxWaiting, contentMode },
  });
  // Standard output that went away (a closed pipe) must not end a server that still answers.
  stdout.on('error', () => {});
  // At exit pino would try again without end what a full disk refuses. Who exits has waited for `flush`, which gives up.
  stdout.flushSync = () => {};
  return stdout;
}

/** Resolves when what was written has reached its end, or when that takes too long. */
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
