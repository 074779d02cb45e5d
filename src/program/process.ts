/**
 * What stands around the work of each of our programs: the flags and the settings are read, the log and the metrics
 * opened, faults and signals taken, and at the end the process is ended with a code.
 *
 *     flags -> settings -> log, metrics -> work ------> flush -> exit with the code that it resolved with
 *         \________\______________\________/
 *                  StartError: its sentence, and exit 1;   anything else: exit 70
 */

import { type ChildProcess, fork } from 'node:child_process';
import { isatty } from 'node:tty';
import { StartError } from '../errors.ts';
import { openLogDestination } from '../observability/log/log-destination.ts';
import { createLogger, type LogDestination, type Logger } from '../observability/logger.ts';
import { countEvents } from '../observability/metrics/event-metrics.ts';
import { createMetrics, type Metrics } from '../observability/metrics/metrics.ts';
import { createShortageReport, type ReportShortage } from '../observability/shortage.ts';
import { parseFlags } from '../settings/flags.ts';
import { loadSettings, type Settings, type SettingsSource } from '../settings/load.ts';
import { endProcess } from './end-process.ts';
import { stopLimits } from './stop-limits.ts';

export interface FrameOptions {
  /** How the metrics call this process, in the label `worker`. */
  readonly nameOf: (settings: Settings) => string;
  /** What `--help` prints. */
  readonly help: () => string;
}

/** What a program is given to work with. */
export interface ProgramFrame {
  readonly settings: Settings;
  /** Where the settings came from. */
  readonly source: SettingsSource;
  /** Sentences on the settings that the operator should read. */
  readonly warnings: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
  /** For errors of timers and sockets, which no caller handles. */
  readonly reportShortage: ReportShortage;
  /** Whether another program of ours has started this one by `startChild`, and supervises it. */
  readonly isSupervised: boolean;
  /** The arguments of a child with the same flags, and with its settings from `envFile` instead of `.env` if given. */
  childArguments(envFile?: string): string[];
  /** Starts a program as a child with these arguments. Throws the system's error if there is no room for a process. */
  startChild(entry: URL, envFile?: string): ChildProcess;
  /** From now on signals are ours; until then they do what they usually do. */
  takeSignals(): Signals;
}

export interface Signals {
  /**
   * Resolves at the first SIGTERM or SIGINT, from which on the process has its grace time and `stopLimits.process`; the
   * second one ends it at once.
   */
  readonly stop: Promise<void>;
  onReload(reload: () => void): void;
  onResize(resize: (by: number) => void): void;
}

/** The exit codes: something the operator can mend, and a fault of the program (EX_SOFTWARE of sysexits.h). */
const exitStartFailed = 1;
const exitSoftware = 70;

/** The first argument of a child. A channel alone says little: other supervisors of processes open one too. */
const childMark = 'supervised';

/** Before the path of the file that a child takes its settings from, instead of `.env`. */
const settingsMark = 'settings-from';

/** Runs `work`, and ends the process with the code that it resolves with, or with a sentence if it cannot start. */
export function runInFrame(options: FrameOptions, work: (frame: ProgramFrame) => Promise<number>): void {
  run(options, work).catch((error: unknown) => {
    console.error(error instanceof StartError ? error.message : error);
    process.exit(error instanceof StartError ? exitStartFailed : exitSoftware);
  });
}

async function run(
  { nameOf, help }: FrameOptions,
  work: (frame: ProgramFrame) => Promise<number>,
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
  const { settings, warnings } = loadSettings(source);
  const { application } = settings;
  const metrics = createMetrics({ worker: nameOf(settings) });
  const destination = openLogDestination(application.logFormat);
  const log = createLogger({
    level: application.logLevel,
    destination,
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
    onEvent: countEvents(metrics),
  });
  const reportShortage = createShortageReport(log, metrics);
  endOnFault(log, destination, reportShortage);
  const childArguments = (file?: string) => [...(file === undefined ? [] : [settingsMark, file]), ...flags];
  let code: number;
  try {
    code = await work({
      settings,
      source,
      warnings,
      log,
      metrics,
      reportShortage,
      isSupervised,
      childArguments,
      startChild: (entry, file) => fork(entry, [childMark, ...childArguments(file)]),
      takeSignals: () => takeSignals(log, destination, settings.server.shutdownGraceSeconds * 1000),
    });
  } finally {
    await destination.flush();
  }
  endProcess(code);
}

/** Before there is somebody to reload or resize, those signals do nothing. */
function takeSignals(log: Logger, destination: LogDestination, graceMs: number): Signals {
  const hadTerminal = isatty(0);
  let reload: () => void = () => {};
  let resize: (by: number) => void = () => {};
  const stop = new Promise<void>((resolve) => {
    let asked = false;
    const ask = () => {
      if (!asked) setTimeout(cut, graceMs + stopLimits.process).unref();
      asked = true;
      resolve();
    };
    const cut = () => {
      const error = new Error(`The process did not end within ${graceMs + stopLimits.process} ms.`);
      log.error('application.failed', { part: 'process', step: 'close', error });
      endSoon(destination, 0);
    };
    for (const [signal, number] of [
      ['SIGINT', 2],
      ['SIGTERM', 15],
    ] as const) {
      process.on(signal, () => {
        if (asked) endSoon(destination, 128 + number);
        else ask();
      });
    }
    // A terminal that is closed sends it too, and nobody would be left to stop the program.
    process.on('SIGHUP', () => (hadTerminal && !isatty(0) ? ask() : reload()));
    process.on('SIGTTIN', () => resize(1));
    process.on('SIGTTOU', () => resize(-1));
  });
  return {
    stop,
    onReload(given) {
      reload = given;
    },
    onResize(given) {
      resize = given;
    },
  };
}

/**
 * An error that nothing caught leaves the process in an unknown state: it is logged, and the process ends. A shortage is
 * not such a fault: whatever needed the resource has failed, and a process that ended would take the others with it.
 */
function endOnFault(log: Logger, destination: LogDestination, reportShortage: ReportShortage): void {
  const end = (error: unknown) => {
    if (reportShortage(error)) return;
    log.critical('application.failed', { error });
    void destination.flush().then(() => endProcess(exitSoftware));
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}

/** Ends the process when the log is written, or a moment later. */
function endSoon(destination: LogDestination, code: number): void {
  void destination.flush().then(() => endProcess(code));
  setTimeout(() => endProcess(code), lastWordsMs);
}

const lastWordsMs = 50;
