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
import { setTimeout as delay } from 'node:timers/promises';
import { renderHelp } from '../settings/flags.ts';
import type { Settings } from '../settings/load.ts';
import { type BannerRow, databaseRow, managementRows, printBanner, recordAdvice } from './banner.ts';
import { connectionLimits, readFileLimit } from './parts/connection-limits.ts';
import { runProcess } from './process.ts';
import { runHttpWorker } from './roles/http-worker.ts';
import { runPrimary } from './roles/primary.ts';
import type { RunningRole, ServerProgramOptions, ServerRoleContext } from './roles/server-role.ts';
import { runSingleProcess } from './roles/single-process.ts';

/**
 * How long the banner on a terminal waits after the start, in milliseconds. The jobs process logs its first connections in
 * this time, and the banner should be the last text.
 */
const settleMs = 300;

/** Runs the server until a signal stops it, then exits; if it cannot start, with a sentence and code 1. */
export function runServerProgram(options: ServerProgramOptions = {}): void {
  const processOptions = {
    nameOf: ({ server }: Settings) => nameOfProcess(server.workers),
    roleOf: ({ server }: Settings) => roleOfProcess(server.workers),
    help: renderHelp,
  };
  runProcess(processOptions, (base) => {
    const context: ServerRoleContext = { ...base, options };
    return cluster.isWorker ? runHttpWorker(context) : runUntilSignal(context);
  });
}

async function runUntilSignal(base: ServerRoleContext): Promise<number> {
  const advices: string[] = [];
  const context = { ...base, log: recordAdvice(base.log, advices) };
  const { warning } = connectionLimits(context.settings, readFileLimit());
  for (const advice of [...context.warnings, ...(warning === undefined ? [] : [warning])]) {
    context.log.warning('config.warning', { advice });
  }
  const signals = context.handleSignals();
  const running = await (context.settings.server.workers === 1
    ? runSingleProcess(context)
    : runPrimary(context));
  signals.onReload(running.reload);
  signals.onResize(running.resize);
  await context.flushLog();
  if (context.isOnTerminal) await delay(settleMs);
  printBanner(context.settings, bannerRows(running, context), advices);
  await signals.stop;
  await running.stop();
  return 0;
}

/** Returns the name of this process in the label `worker` of its metrics. */
function nameOfProcess(workers: number): string {
  if (cluster.worker !== undefined) return String(cluster.worker.id);
  return workers === 1 ? '1' : 'primary';
}

function roleOfProcess(workers: number): string {
  if (cluster.worker !== undefined) return `worker ${cluster.worker.id}`;
  return workers === 1 ? 'server' : 'primary';
}

function bannerRows(
  { url, managementUrl, databaseUrl }: RunningRole,
  { settings, origins }: ServerRoleContext,
): BannerRow[] {
  const { application } = settings;
  return [
    { label: 'API', text: `${url}${application.apiPrefix}` },
    ...(application.docsUrl === null ? [] : [{ label: 'Docs', text: `${url}${application.docsUrl}` }]),
    ...managementRows(managementUrl),
    databaseRow(settings, origins, databaseUrl),
    { label: 'Stop', text: 'Ctrl+C' },
  ];
}
