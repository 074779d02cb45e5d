/**
 * One run of PostgreSQL's main process, the postmaster: how it is started, when it is ready, how it is stopped, and
 * where its log goes. Who may start it, and what happens when it ends unasked, is the business of `embedded.ts`.
 *
 * It runs in a session of its own, so that Ctrl-C in a terminal does not reach it before the server has drained.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { reasonOf, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Binaries } from './binaries.ts';
import { adviceOn, type Cluster, childEnvironment, failureLines, folderArgument } from './cluster.ts';
import { folderMark } from './process.ts';

export interface PostmasterOptions {
  readonly binaries: Binaries;
  readonly cluster: Cluster;
  readonly port: number;
  /** The process it belongs to, as `identifyProcess` writes it. */
  readonly owner: string;
  /** Whether committed data survives a loss of power. Without it, everything is faster: for tests. */
  readonly durable: boolean;
  readonly log: Logger;
}

export interface Postmaster {
  readonly pid: number;
  /** Resolves with how it ended, in words, when it has ended. */
  readonly ended: Promise<string>;
  /** Ends it, with the transactions in progress rolled back, and resolves when it has ended. Idempotent. */
  stop(): Promise<void>;
}

/** Why it could not start, where trying again may help: the port was taken, or the folder is in use. */
export class PostmasterBusyError extends Error {}

const ready = 'database system is ready to accept connections';
const busy =
  /Address already in use|lock file "postmaster.pid" (?:already exists|is empty)|shared memory block .* still in use/;

/** How long it may take to write down what it has in memory before it is told to end without. */
const stopDeadlineMs = 30_000;

/**
 * Starts PostgreSQL and resolves when it takes connections. Rejects with a PostmasterBusyError, or with a StartError
 * that holds its last words.
 */
export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  const { cluster, binaries, log } = options;
  const child = spawn(binaries.postgres, await commandLine(options), {
    cwd: cluster.folder,
    detached: true,
    env: childEnvironment,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...cluster.account,
  });
  const ended = endOf(child);
  let stopping: Promise<void> | undefined;

  const lastWords: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const lines = createInterface({ input: child.stderr }).on('line', (line) => {
      lastWords.push(line);
      if (lastWords.length > 20) lastWords.shift();
      writeLog(log, line, stopping !== undefined);
      if (line.includes(ready)) resolve();
    });
    // What it said last may arrive after it has ended; what it started may keep the line open.
    const closed = once(lines, 'close');
    const allSaid = ended.then(() => Promise.race([closed, delay(500, undefined, { ref: false })]));
    void Promise.all([ended, allSaid]).then(([how]) => {
      // The reason may stand in a line before the failure, and other lines may follow it.
      const failures = failureLines(lastWords);
      const said = lastWords
        .filter((line, index) => index >= lastWords.length - 5 || failures.includes(line))
        .join(' | ');
      if (busy.test(said)) reject(new PostmasterBusyError(said));
      else
        reject(
          new StartError(
            `PostgreSQL did not start (${how}): ${said || 'it said nothing'}${adviceOn(said, cluster.folder)}`,
          ),
        );
    });
  });

  // Whatever ends this process in an orderly way, even an uncaught error, ends PostgreSQL too.
  const stopAtExit = () => void child.kill('SIGINT');
  process.once('exit', stopAtExit);
  void ended.then(() => process.off('exit', stopAtExit));

  return {
    pid: child.pid ?? 0,
    ended,
    stop() {
      stopping ??= stopChild(child, ended);
      return stopping;
    },
  };
}

async function commandLine({ cluster, port, owner, durable }: PostmasterOptions): Promise<string[]> {
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `cluster_name=strata:${owner}`,
    await folderMark(cluster.folder),
    'max_connections=200',
    // A refused statement is the business of who sent it; its text and values stay out of our log.
    'log_min_messages=log',
    'log_min_error_statement=panic',
    'log_error_verbosity=terse',
    'log_checkpoints=off',
    'log_line_prefix=',
    'log_timezone=UTC',
    'timezone=UTC',
    ...(durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
  ];
  return [
    '-D',
    folderArgument(cluster),
    '-p',
    String(port),
    ...settings.flatMap((setting) => ['-c', setting]),
  ];
}

/** `exit` and not `close`: processes that PostgreSQL started may hold the other end of its log a moment longer. */
async function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
    child.once('error', (error) => resolve(reasonOf(error)));
  });
}

function writeLog(log: Logger, line: string, stopping: boolean): void {
  const [, severity = 'LOG', message = line] = /^([A-Z]+):\s+(.*)$/.exec(line) ?? [];
  if (severity === 'PANIC') log.error('database.embedded.log', { severity, message });
  else if (severity === 'FATAL' && !stopping) log.warning('database.embedded.log', { severity, message });
  else log.debug('database.embedded.log', { severity, message });
}

/** SIGINT is PostgreSQL's fast shutdown; SIGQUIT ends it at once, and it recovers at its next start. */
async function stopChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  const escalation = setTimeout(() => child.kill('SIGQUIT'), stopDeadlineMs);
  await ended;
  clearTimeout(escalation);
}
