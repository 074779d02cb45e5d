/**
 * The server program: settings, then one of three roles, then waiting for a signal.
 *
 *     APP_WORKERS=1    single process    answers requests itself               (single-process.ts)
 *     APP_WORKERS>1    primary           supervises the HTTP workers           (primary.ts)
 *                      HTTP worker       answers requests, forked by a primary (http-worker.ts)
 *
 * Workers run the same file as the primary: `main.ts`, or another that calls `runServerProgram` with routes of its own.
 * The single process or the primary also supervises the process that runs jobs (`jobs-program.ts`).
 */

import cluster from 'node:cluster';
import { renderHelp } from '../settings/flags.ts';
import { connectionLimits, readFileLimit } from './parts/connection-limits.ts';
import { runProcess } from './process.ts';
import { runHttpWorker } from './roles/http-worker.ts';
import { runPrimary } from './roles/primary.ts';
import type { RunningRole, ServerProgramOptions, ServerRoleContext } from './roles/server-role.ts';
import { runSingleProcess } from './roles/single-process.ts';

/** Runs the server until a signal stops it, then exits; if it cannot start, with a sentence and code 1. */
export function runServerProgram(options: ServerProgramOptions = {}): void {
  runProcess({ nameOf: ({ server }) => nameOfProcess(server.workers), help: renderHelp }, (base) => {
    const context: ServerRoleContext = { ...base, options };
    return cluster.isWorker ? runHttpWorker(context) : runUntilSignal(context);
  });
}

async function runUntilSignal(context: ServerRoleContext): Promise<number> {
  const { warning } = connectionLimits(context.settings, readFileLimit());
  for (const advice of [...context.warnings, ...(warning === undefined ? [] : [warning])]) {
    context.log.warning('config.warning', { advice });
  }
  const signals = context.handleSignals();
  const running = await (context.settings.server.workers === 1
    ? runSingleProcess(context)
    : runPrimary(context));
  greet(running, context);
  signals.onReload(running.reload);
  signals.onResize(running.resize);
  await signals.stop;
  await running.stop();
  return 0;
}

/** Returns the name of this process in the label `worker` of its metrics. */
function nameOfProcess(workers: number): string {
  if (cluster.worker !== undefined) return String(cluster.worker.id);
  return workers === 1 ? '1' : 'primary';
}

/** Prints the addresses for a user at a terminal. The log lines on standard output stay JSON. */
function greet({ url, managementUrl }: RunningRole, { settings }: ServerRoleContext): void {
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
