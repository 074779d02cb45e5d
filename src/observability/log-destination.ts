import { createRequire } from 'node:module';
import pino from 'pino';
import { StartError } from '../errors.ts';
import type { LogDestination } from './logger.ts';
import { createPipeDestination, openPipe } from './pipe-destination.ts';

/** Lines wait for at most this long, and for at most this many characters, to be written together. */
const gatherMs = 20;
const gatherLength = 65_536;

/** So many characters wait for a slow reader; what comes then is dropped, so that it cannot exhaust the memory. */
const maxWaiting = 64 * 1024 * 1024;

/** A reader that has stopped reading keeps the process from ending for at most this long. */
const flushDeadlineMs = 2000;

/**
 * Opens standard output for log lines: as they are (`json`), or coloured for a person (`console`, through
 * `pino-pretty`, which is a development package). Throws a StartError if that package is missing.
 *
 * Lines are gathered for a moment and written together, in the thread pool: under load a write for each line
 * would cost more than the rest of the logging. A pipe that several processes share has a way of its own. A reader
 * that does not keep up slows nobody down; up to 64 MiB wait in memory. What is lost when the process is killed with SIGKILL are the lines of the last moment.
 */
export function openLogDestination(format: 'json' | 'console'): LogDestination {
  const pipe = format === 'json' ? openPipe(1) : undefined;
  if (pipe !== undefined) return createPipeDestination(pipe, { gatherMs, maxWaiting, flushDeadlineMs });
  // With a minLength of 0 its flush would not wait for the write that is under way.
  const stdout = pino.destination({
    ...{ dest: 1, sync: false, minLength: 1, maxWrite: gatherLength, maxLength: maxWaiting },
  });
  // Standard output that went away (a closed pipe) must not end a server that still answers.
  stdout.on('error', () => {});
  // At exit pino would try again without end what a full disk refuses. Who exits has waited for `flush`, which gives up.
  stdout.flushSync = () => {};
  const pretty = format === 'json' ? undefined : loadPretty()({ ...prettyOptions, destination: stdout });

  let gathered = '';
  let timer: NodeJS.Timeout | undefined;
  const writeGathered = () => {
    clearTimeout(timer);
    timer = undefined;
    if (gathered !== '') (pretty ?? stdout).write(gathered);
    gathered = '';
  };
  return {
    write(line) {
      gathered += line;
      if (gathered.length >= gatherLength) writeGathered();
      else timer ??= setTimeout(writeGathered, gatherMs);
    },
    async flush() {
      writeGathered();
      if (pretty !== undefined) await new Promise<void>((resolve) => pretty.write('', () => resolve()));
      await new Promise<void>((resolve) => {
        stdout.flush(() => resolve());
        setTimeout(resolve, flushDeadlineMs).unref();
      });
    },
  };
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
    throw new StartError(
      'APP_LOG_FORMAT=console needs the package pino-pretty: run `npm install pino-pretty`, or set APP_LOG_FORMAT=json.',
      { cause },
    );
  }
}
