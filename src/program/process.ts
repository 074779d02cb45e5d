/**
 * The steps that each of our programs shares: read flags and settings, open the log and the metrics, handle uncaught
 * errors and signals, run the work of the program, exit with its code.
 *
 *     flags -> settings -> log, metrics -> work ------> flush -> exit with the code that `work` resolved with
 *         \________\______________\________/
 *                  StartError: reports its sentences, exit 1;   any other error: exit 70   (start-failure.ts)
 */

import { type ChildProcess, fork } from 'node:child_process';
import { isatty } from 'node:tty';
import { events } from '../declarations.ts';
import { StartError } from '../errors.ts';
import { chooseLogFormat, openLogDestination } from '../observability/log/log-destination.ts';
import { logNodeWarnings } from '../observability/log/node-warnings.ts';
import { createLogger, type LogDestination, type Logger } from '../observability/logger.ts';
import { countEvents } from '../observability/metrics/event-metrics.ts';
import { createMetrics, type Metrics } from '../observability/metrics/metrics.ts';
import { createShortageReport, type ReportShortage } from '../observability/shortage.ts';
import { finishTracing } from '../observability/trace-channels.ts';
import { parseFlags } from '../settings/flags.ts';
import { loadSettings, type SettingOrigin, type Settings, type SettingsSource } from '../settings/load.ts';
import { extendEnvironment } from '../settings/sources.ts';
import { exitProcess } from './exit-process.ts';
import { handleSignals, type Signals } from './signals.ts';
import { reportStartFailure } from './start-failure.ts';

export interface ProcessOptions {
  /** Returns the name of this process in the label `worker` of its metrics. */
  readonly nameOf: (settings: Settings) => string;
  /** Returns the role of this process, such as `worker 2`, which `ps` shows after the name of the project. */
  readonly roleOf: (settings: Settings) => string;
  /** Returns the text that `--help` prints. */
  readonly help: () => string;
}

export interface ChildOptions {
  /** The file from which the child reads its settings instead of `.env`. */
  readonly envFile?: string | undefined;
  readonly cwd?: string | undefined;
  /** Variables of its environment, in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The parts of a process that `work` uses. */
export interface ProcessContext {
  readonly settings: Settings;
  /** Where the settings came from. */
  readonly source: SettingsSource;
  /** The origin of each setting. */
  readonly origins: readonly SettingOrigin[];
  /** Warnings about the settings, each a sentence for the operator. */
  readonly warnings: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Reports errors of timers and sockets, which no caller handles. */
  readonly reportShortage: ReportShortage;
  /** Whether another of our programs has started this one with `startChild`, and supervises it. */
  readonly isSupervised: boolean;
  /** Returns the arguments of a child with the same flags. With `envFile` it reads that file instead of `.env`. */
  childArguments(envFile?: string): string[];
  /** Starts a program as a child with these arguments. Throws the system's error if no process can be created. */
  startChild(entry: URL, options?: ChildOptions): ChildProcess;
  /** Whether the log is text on a terminal. */
  readonly isOnTerminal: boolean;
  /**
   * On a terminal, resolves when all log lines so far have been written, so that what is printed next comes after them. A
   * program must not wait for another reader of its log, which may have stopped reading. Never rejects.
   */
  flushTerminal(): Promise<void>;
  /** Handles signals from now on. Until then they have their default action. */
  handleSignals(): Signals;
}

/** The exit codes: an error that the operator can fix, and an internal error (EX_SOFTWARE of sysexits.h). */
const exitStartFailed = 1;
const exitSoftware = 70;

/** How long tracers may take to send their last spans. After a signal, the process may have less time left (`signals.ts`). */
const maxTracingMs = 2_000;

/** The first argument of a child. A channel alone proves little: other process managers open one too. */
const childMark = 'supervised';

/** Precedes the path of the file from which a child reads its settings instead of `.env`. */
const settingsMark = 'settings-from';

/** Runs `work` and exits with the code that it resolves with, or, if it cannot start, with a sentence and code 1. */
export function runProcess(
  options: ProcessOptions,
  work: (context: ProcessContext) => Promise<number>,
): void {
  run(options, work).catch((error: unknown) => {
    reportStartFailure(error);
    process.exit(error instanceof StartError ? exitStartFailed : exitSoftware);
  });
}

async function run(
  { nameOf, roleOf, help }: ProcessOptions,
  work: (context: ProcessContext) => Promise<number>,
): Promise<void> {
  const args = process.argv.slice(2);
  const isSupervised = process.connected && args[0] === childMark;
  const rest = isSupervised ? args.slice(1) : args;
  const envFile = process.connected && rest[0] === settingsMark ? rest[1] : undefined;
  const flags = envFile === undefined ? rest : rest.slice(2);
  const { overrides, help: wantsHelp } = parseFlags(flags);
  if (wantsHelp) {
    console.log(help());
    return;
  }
  const source = { overrides, ...(envFile === undefined ? {} : { envFile }) };
  const { settings, warnings, origins } = loadSettings(source);
  const { application } = settings;
  process.title = `${application.projectName.toLowerCase()} ${roleOf(settings)}`;
  const metrics = createMetrics({ worker: nameOf(settings) });
  const format = chooseLogFormat(application.logFormat, application.environment);
  const isOnTerminal = format === 'console' && isatty(1);
  const destination = openLogDestination(format);
  const log = createLogger({
    level: application.logLevel,
    destination,
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
    onEvent: countEvents(metrics, events),
  });
  const reportShortage = createShortageReport(log, metrics);
  exitOnUncaughtError(log, destination, reportShortage);
  logNodeWarnings(log);
  const graceMs = settings.server.shutdownGraceSeconds * 1000;
  const childArguments = (file?: string) => [...(file === undefined ? [] : [settingsMark, file]), ...flags];
  let code: number;
  try {
    code = await work({
      settings,
      source,
      origins,
      warnings,
      log,
      metrics,
      reportShortage,
      isSupervised,
      childArguments,
      isOnTerminal,
      flushTerminal: isOnTerminal ? destination.flush : () => Promise.resolve(),
      startChild: (entry, { envFile: file, cwd, env } = {}) =>
        fork(entry, [childMark, ...childArguments(file)], {
          ...(cwd === undefined ? {} : { cwd }),
          ...(env === undefined ? {} : { env: extendEnvironment(env) }),
        }),
      handleSignals: () => handleSignals({ log, destination, graceMs }),
    });
  } finally {
    await Promise.all([finishTracing(maxTracingMs), destination.flush()]);
  }
  exitProcess(code);
}

/**
 * An error that no code caught leaves the process in an unknown state, so the process logs it and exits. A shortage is an
 * exception: only the operation that needed the resource has failed, and an exit would fail all others too.
 */
function exitOnUncaughtError(log: Logger, destination: LogDestination, reportShortage: ReportShortage): void {
  const onError = (error: unknown) => {
    if (reportShortage(error)) return;
    log.critical('application.failed', { error });
    void destination.flush().then(() => exitProcess(exitSoftware));
  };
  process.on('uncaughtException', onError);
  process.on('unhandledRejection', onError);
}
