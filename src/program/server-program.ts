/**
 * The program: settings, then one of three roles, then waiting for a signal. With one worker the process serves
 * by itself; with more it is the primary of as many processes that run the same file as workers: the file that the
 * program was started with, `main.ts`, or another that calls `runProgram` with routes of its own. Beside those that
 * answer requests, the single process or the primary has one that runs jobs (`jobs-program.ts`).
 */

import cluster from 'node:cluster';
import { renderHelp } from '../settings/flags.ts';
import { connectionLimits, readFileLimit } from './connection-limits.ts';
import { runWorker } from './http-worker.ts';
import { runPrimary } from './primary.ts';
import { type ProgramFrame, runInFrame } from './process.ts';
import { runSingle } from './single-process.ts';
import type { StartOptions } from './start-server.ts';

/** What a role is started with. */
export interface RoleParts extends ProgramFrame {
  readonly options: ProgramOptions;
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

/** What the program serves beside the product's own routes. */
export type ProgramOptions = Pick<StartOptions, 'extraRoutes'>;

/** Runs the program until it is told to stop, and ends the process: with a sentence and code 1, if it cannot start. */
export function runProgram(options: ProgramOptions = {}): void {
  runInFrame({ nameOf: ({ server }) => nameOfProcess(server.workers), help: renderHelp }, (frame) => {
    const parts: RoleParts = { ...frame, options };
    return cluster.isWorker ? runWorker(parts) : supervise(parts);
  });
}

async function supervise(parts: RoleParts): Promise<number> {
  const { warning } = connectionLimits(parts.settings, readFileLimit());
  for (const advice of [...parts.warnings, ...(warning === undefined ? [] : [warning])]) {
    parts.log.warning('config.warning', { advice });
  }
  const signals = parts.takeSignals();
  const running = await (parts.settings.server.workers === 1 ? runSingle(parts) : runPrimary(parts));
  greet(running, parts);
  signals.onReload(running.reload);
  signals.onResize(running.resize);
  await signals.stop;
  await running.stop();
  return 0;
}

/** How the metrics call this process, in the label `worker`. */
function nameOfProcess(workers: number): string {
  if (cluster.worker !== undefined) return String(cluster.worker.id);
  return workers === 1 ? '1' : 'primary';
}

/** For a person at a terminal; the log lines on standard output stay JSON. */
function greet({ url, managementUrl }: Running, { settings }: RoleParts): void {
  const { application } = settings;
  const lines = [
    `${application.projectName} ${application.projectVersion} (${application.environment})`,
    `  API      ${url}${application.apiPrefix}/meta`,
    ...(application.docsUrl === null ? [] : [`  Docs     ${url}${application.docsUrl}`]),
    ...(managementUrl === null
      ? []
      : [`  Metrics  ${managementUrl}/metrics`, `  Jobs     ${managementUrl}/jobs`]),
    '  Stop     Ctrl+C',
  ];
  console.error(`\n${lines.join('\n')}\n`);
}
