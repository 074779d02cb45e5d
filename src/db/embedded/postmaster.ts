/**
 * One run of PostgreSQL's main process, the postmaster: how it is started, when it is ready, how it is stopped, and
 * where its log goes. `embedded.ts` decides who may start it and what happens when it exits unexpectedly.
 *
 * It runs in a session of its own, so that Ctrl-C in a terminal does not reach it before the server has drained.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { reasonOf, StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Binaries } from './binaries.ts';
import { adviceFor, type Cluster, childEnvironment, failureLines, folderArgument } from './cluster.ts';
import { folderMark } from './process.ts';

export interface PostmasterOptions {
  readonly binaries: Binaries;
  readonly cluster: Cluster;
  readonly port: number;
  /** The process that owns it, in the format of `identifyProcess`. */
  readonly owner: string;
  /** Whether committed data survives a loss of power. Without it, everything is faster: for tests. */
  readonly durable: boolean;
  readonly log: Logger;
}

export interface Postmaster {
  readonly pid: number;
  /** Resolves when it has exited, with a description of its exit. */
  readonly ended: Promise<string>;
  /** Stops it, rolls back open transactions, and resolves when it has exited. Idempotent. */
  stop(): Promise<void>;
}

/** A failure to start that a retry may fix: the port was in use, or the folder was. */
export class PostmasterBusyError extends Error {}

const readyMessage = 'database system is ready to accept connections';
const busyPattern =
  /Address already in use|lock file "postmaster.pid" (?:already exists|is empty)|shared memory block .* still in use/;

/** How long it may take to write its memory to disk before it is stopped without that. */
const stopTimeoutMs = 30_000;

/**
 * Starts PostgreSQL and resolves when it accepts connections. Rejects with a PostmasterBusyError, or with a StartError
 * that quotes its last output.
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
  const ended = waitForExit(child);
  let stopping: Promise<void> | undefined;

  const recentLines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const lines = createInterface({ input: child.stderr }).on('line', (line) => {
      recentLines.push(line);
      if (recentLines.length > 20) recentLines.shift();
      writeLog(log, line, stopping !== undefined);
      if (line.includes(readyMessage)) resolve();
    });
    // The last lines may arrive after its exit, and its child processes may keep the pipe open.
    const closed = once(lines, 'close');
    const allRead = ended.then(() => withTimeout(closed, 500, () => {}));
    void Promise.all([ended, allRead]).then(([how]) => {
      // The cause may be in a line before the failure, and other lines may follow it.
      const failures = failureLines(recentLines);
      const output = recentLines
        .filter((line, index) => index >= recentLines.length - 5 || failures.includes(line))
        .join(' | ');
      if (busyPattern.test(output)) reject(new PostmasterBusyError(output));
      else
        reject(
          new StartError(
            `PostgreSQL did not start (${how}): ${output || 'it logged nothing'}${adviceFor(output, cluster.folder)}`,
          ),
        );
    });
  });

  // Any exit of this process that runs exit handlers, even after an uncaught error, stops PostgreSQL too.
  const stopAtExit = () => void child.kill('SIGINT');
  process.once('exit', stopAtExit);
  void ended.then(() => process.off('exit', stopAtExit));

  return {
    pid: child.pid ?? 0,
    ended,
    stop() {
      stopping ??= stopProcess(child, ended);
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
    // The client of a failed statement handles its error. The statement and its values stay out of this log.
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

/** `exit` and not `close`: child processes of PostgreSQL may keep the pipe of its log open a moment longer. */
async function waitForExit(child: ChildProcess): Promise<string> {
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

/** SIGINT requests a fast shutdown. SIGQUIT exits at once, and PostgreSQL recovers at its next start. */
async function stopProcess(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  const escalation = setTimeout(() => child.kill('SIGQUIT'), stopTimeoutMs);
  await ended;
  clearTimeout(escalation);
}
