/**
 * The program: settings, then one of three roles, then waiting for a signal. With one worker the process serves
 * by itself; with more it is the primary of as many processes that run the same file as workers: the file that the
 * program was started with, `main.ts`, or another that calls `runProgram` with routes of its own.
 */

import cluster from 'node:cluster';
import { isatty } from 'node:tty';
import { StartError } from './errors.ts';
import { countEvents } from './observability/event-metrics.ts';
import { openLogDestination } from './observability/log-destination.ts';
import { createLogger, type LogDestination, type Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { runPrimary } from './run-primary.ts';
import { runSingle } from './run-single.ts';
import { runWorker } from './run-worker.ts';
import { parseFlags, renderHelp } from './settings/flags.ts';
import { type LoadedSettings, loadSettings, type Settings, type SettingsSource } from './settings/load.ts';
import type { StartOptions } from './start.ts';

/** What a role is started with. */
export interface RoleParts {
  readonly options: ProgramOptions;
  readonly settings: Settings;
  /** Where the settings came from. */
  readonly source: SettingsSource;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** What runs until a signal comes, and what follows from each. */
export interface Running {
  readonly url: string;
  readonly managementUrl: string | null;
  /** SIGHUP: new code and new settings. */
  reload(): void;
  /** SIGTTIN and SIGTTOU: one worker more, or fewer. */
  resize(by: number): void;
  /** SIGTERM and SIGINT: drain and end. */
  stop(): Promise<void>;
}

/** The exit codes: something the operator can mend, and a fault of the program (EX_SOFTWARE of sysexits.h). */
const exitStartFailed = 1;
const exitSoftware = 70;

/** What the program serves beside the product's own routes. */
export type ProgramOptions = Pick<StartOptions, 'extraRoutes'>;

/** Runs the program until it is told to stop, and ends the process: with a sentence and code 1, if it cannot start. */
export function runProgram(options: ProgramOptions = {}): void {
  run(options).catch((error: unknown) => {
    console.error(error instanceof StartError ? error.message : error);
    process.exit(error instanceof StartError ? exitStartFailed : exitSoftware);
  });
}

async function run(options: ProgramOptions): Promise<void> {
  const { overrides, help } = parseFlags(process.argv.slice(2));
  if (help) {
    console.log(renderHelp());
    return;
  }
  const source = { overrides };
  const loaded = loadSettings(source);
  const { settings } = loaded;
  const { application, server } = settings;
  const metrics = createMetrics({ worker: nameOfProcess(server.workers) });
  const destination = openLogDestination(application.logFormat);
  const log = createLogger({
    level: application.logLevel,
    destination,
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
    onEvent: countEvents(metrics),
  });
  endOnFault(log, destination);
  const parts: RoleParts = { options, settings, source, log, metrics };
  if (cluster.isWorker) {
    const code = await runWorker(parts);
    await destination.flush();
    process.exit(code);
  }

  for (const advice of loaded.warnings) log.warning('config.warning', { advice });
  const signals = listenToSignals(destination);
  try {
    const running = await (server.workers === 1 ? runSingle(parts) : runPrimary(parts));
    greet(running, loaded);
    signals.onReload(running.reload);
    signals.onResize(running.resize);
    await signals.stop;
    await running.stop();
  } finally {
    await destination.flush();
  }
  process.exit(0);
}

/** How the metrics call this process, in the label `worker`. */
function nameOfProcess(workers: number): string {
  if (cluster.worker !== undefined) return String(cluster.worker.id);
  return workers === 1 ? '1' : 'primary';
}

interface Signals {
  /** Resolves at the first SIGTERM or SIGINT; the second one ends the process at once. */
  readonly stop: Promise<void>;
  onReload(reload: () => void): void;
  onResize(resize: (by: number) => void): void;
}

/** Takes the signals over. Before there is somebody to reload or resize, those signals do nothing. */
function listenToSignals(destination: LogDestination): Signals {
  const hadTerminal = isatty(0);
  let reload: () => void = () => {};
  let resize: (by: number) => void = () => {};
  const stop = new Promise<void>((resolve) => {
    let asked = false;
    for (const [signal, number] of [
      ['SIGINT', 2],
      ['SIGTERM', 15],
    ] as const) {
      process.on(signal, () => {
        if (asked) void destination.flush().then(() => process.exit(128 + number));
        asked = true;
        resolve();
      });
    }
    // A terminal that is closed sends it too, and nobody would be left to stop the program.
    process.on('SIGHUP', () => (hadTerminal && !isatty(0) ? resolve() : reload()));
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

/** A fault that nobody caught leaves the process in an unknown state: it is logged, and the process ends. */
function endOnFault(log: Logger, destination: LogDestination): void {
  const end = (error: unknown) => {
    log.critical('application.failed', { error });
    void destination.flush().then(() => process.exit(exitSoftware));
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}

/** For a person at a terminal; the log lines on standard output stay JSON. */
function greet({ url, managementUrl }: Running, { settings }: LoadedSettings): void {
  const { application } = settings;
  const lines = [
    `${application.projectName} ${application.projectVersion} (${application.environment})`,
    `  API      ${url}${application.apiPrefix}/meta`,
    ...(application.docsUrl === null ? [] : [`  Docs     ${url}${application.docsUrl}`]),
    ...(managementUrl === null ? [] : [`  Metrics  ${managementUrl}/metrics`]),
    '  Stop     Ctrl+C',
  ];
  console.error(`\n${lines.join('\n')}\n`);
}
