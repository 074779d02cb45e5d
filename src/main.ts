/**
 * The program: settings, then one of three roles, then waiting for a signal. With one worker the process serves
 * by itself; with more it is the primary of as many processes that run this same file as workers.
 */

import cluster from 'node:cluster';
import { createLimitStore } from './app.ts';
import { startPrimary } from './cluster/primary.ts';
import { openPrimaryChannel } from './cluster/worker.ts';
import { openDatabaseServer } from './database-server.ts';
import { StartError } from './errors.ts';
import { createLifecycle } from './lifecycle.ts';
import { createClusterLimitStore } from './limits/cluster.ts';
import { openLogDestination } from './observability/log-destination.ts';
import { createLogger, type LogDestination, type Logger } from './observability/logger.ts';
import { parseFlags, renderHelp } from './settings/flags.ts';
import { type LoadedSettings, loadSettings, type Settings } from './settings/load.ts';
import { startServer } from './start.ts';

/** What a role runs and how it ends. */
interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

/** The exit codes: something the operator can mend, and a fault of the program (EX_SOFTWARE of sysexits.h). */
const exitStartFailed = 1;
const exitSoftware = 70;

async function main(): Promise<void> {
  const { overrides, help } = parseFlags(process.argv.slice(2));
  if (help) {
    console.log(renderHelp());
    return;
  }
  const loaded = loadSettings({ overrides });
  const { settings } = loaded;
  const destination = openLogDestination(settings.application.logFormat);
  const log = createLogger({
    level: settings.application.logLevel,
    destination,
    includeCaller: settings.application.logIncludeCaller,
    base: { service: settings.application.projectName, environment: settings.application.environment },
  });
  endOnFault(log, destination);
  if (cluster.isWorker) return runWorker(settings, log, destination);

  for (const advice of loaded.warnings) log.warning('config.warning', { advice });
  const signal = stopSignal(destination);
  try {
    const running =
      settings.server.workers === 1 ? await startServer({ settings, log }) : await runPrimary(settings, log);
    greet(running.url, loaded);
    await signal;
    await running.stop();
  } finally {
    await destination.flush();
  }
  process.exit(0);
}

/** Opens the database, forks the workers and decides on permits for all of them. */
async function runPrimary(settings: Settings, log: Logger): Promise<Running> {
  const lifecycle = createLifecycle(log);
  const graceMs = settings.server.shutdownGraceSeconds * 1000 + 10_000;
  try {
    const databaseUrl = await openDatabaseServer(settings, log, lifecycle);
    const options = {
      workers: settings.server.workers,
      databaseUrl,
      log: log.named('primary'),
      limitStore: createLimitStore(settings, log),
      graceMs,
    };
    const primary = await lifecycle.open(
      'workers',
      () => startPrimary(options),
      (opened) => opened.stop(),
      graceMs,
    );
    return { url: primary.url, stop: () => lifecycle.closeAll() };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

/** How long a worker waits for the primary's decision on a permit. */
const permitDeadlineMs = 250;

/** Serves what the primary's socket gives it, until the primary says stop or is gone. */
async function runWorker(settings: Settings, log: Logger, destination: LogDestination): Promise<void> {
  const channel = openPrimaryChannel();
  // The terminal sends Ctrl+C to all processes; the primary decides what follows from it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  const { databaseUrl } = await channel.begun;
  const limitStore = createClusterLimitStore({
    channel: channel.limits,
    deadlineMs: permitDeadlineMs,
    onTimeout: () => log.error('rate_limit.store_failed', { advice: 'The primary is overloaded or gone.' }),
  });
  const end = (code: number) => destination.flush().then(() => process.exit(code));
  channel.onStop(() => void end(0));
  try {
    const { url, stop } = await startServer({ settings, log, databaseUrl, limitStore });
    channel.onStop(() => void stop().then(() => end(0)));
    await channel.send({ kind: 'ready', url });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    await channel.send({ kind: 'failed', message: error.message });
    await end(exitStartFailed);
  }
}

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process at once. */
function stopSignal(destination: LogDestination): Promise<void> {
  return new Promise((resolve) => {
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
  });
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
function greet(url: string, { settings }: LoadedSettings): void {
  const { application } = settings;
  const lines = [
    `${application.projectName} ${application.projectVersion} (${application.environment})`,
    `  API   ${url}${application.apiPrefix}/meta`,
    ...(application.docsUrl === null ? [] : [`  Docs  ${url}${application.docsUrl}`]),
    '  Stop  Ctrl+C',
  ];
  console.error(`\n${lines.join('\n')}\n`);
}

main().catch((error: unknown) => {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(error instanceof StartError ? exitStartFailed : exitSoftware);
});
