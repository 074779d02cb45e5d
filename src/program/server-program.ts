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
import { openSupervisorChannel } from '../cluster/supervisor-channel.ts';
import { recordStacksOfAppErrors } from '../errors.ts';
import { renderHelp } from '../settings/flags.ts';
import type { Settings } from '../settings/load.ts';
import { type BannerRow, databaseRow, managementRows, printBanner, recordAdvice } from './banner.ts';
import { connectionLimits, readFileLimit } from './parts/connection-limits.ts';
import { runProcess } from './process.ts';
import { runHttpWorker } from './roles/http-worker.ts';
import { runPrimary } from './roles/primary.ts';
import type { RunningRole, ServerProgramOptions, ServerRoleContext } from './roles/server-role.ts';
import { runSingleProcess } from './roles/single-process.ts';
import { ignoreSignals } from './signals.ts';

/**
 * How long the banner on a terminal waits after the start, in milliseconds. The jobs process logs its first connections in
 * this time, and the banner should be the last text.
 */
const settleMs = 300;

/** How long a server whose supervisor is gone may answer the requests in progress, in milliseconds. */
const orphanExitMs = 4_000;

/** Runs the server until a signal stops it, then exits; if it cannot start, with a sentence and code 1. */
export function runServerProgram(options: ServerProgramOptions = {}): void {
  const processOptions = {
    nameOf: ({ server }: Settings) => nameOfProcess(server.workers),
    roleOf: ({ server }: Settings) => roleOfProcess(server.workers),
    help: renderHelp,
  };
  runProcess(processOptions, (base) => {
    const context: ServerRoleContext = { ...base, options };
    recordStacksOfAppErrors(base.settings.application.debug);
    if (cluster.isWorker) return runHttpWorker(context);
    return context.isSupervised ? runUntilOrder(context) : runUntilSignal(context);
  });
}

async function runUntilSignal(context: ServerRoleContext): Promise<number> {
  const signals = context.handleSignals();
  const { running, showBanner } = await startRole(context);
  signals.onReload(running.reload);
  signals.onResize(running.resize);
  await showBanner();
  await signals.stop;
  await running.stop();
  return 0;
}

/** Runs below `npm run dev` (`dev/dev-program.ts`), until that orders the stop or is gone. */
async function runUntilOrder(context: ServerRoleContext): Promise<number> {
  const channel = openSupervisorChannel(context.metrics);
  ignoreSignals();
  return Promise.race([serve(), channel.orphaned.then(() => delay(orphanExitMs, 0))]);

  async function serve(): Promise<number> {
    const order = await Promise.race([channel.startOrder, channel.stopOrder]);
    if (typeof order === 'string') return 0;
    const { databaseUrl, isRestart } = order;
    const { running, showBanner } = await startRole({ ...context, dev: { databaseUrl } });
    await channel.send({ kind: 'ready', url: running.url });
    if (isRestart !== true) await showBanner();
    await channel.stopOrder;
    await running.stop();
    return 0;
  }
}

interface StartedRole {
  readonly running: RunningRole;
  showBanner(): Promise<void>;
}

async function startRole(base: ServerRoleContext): Promise<StartedRole> {
  const advices: string[] = [];
  const context = { ...base, log: recordAdvice(base.log, advices) };
  const { settings } = context;
  const { warning } = connectionLimits(settings, readFileLimit());
  for (const advice of [...context.warnings, ...(warning === undefined ? [] : [warning])]) {
    context.log.warning('config.warning', { advice });
  }
  const running = await (settings.server.workers === 1 ? runSingleProcess(context) : runPrimary(context));
  return {
    running,
    async showBanner() {
      await context.flushTerminal();
      if (context.isOnTerminal) await delay(settleMs);
      printBanner(settings, bannerRows(running, context), advices);
    },
  };
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
    ...managementRows(managementUrl, settings),
    databaseRow(settings, origins, databaseUrl),
    { label: 'Stop', text: 'Ctrl+C' },
  ];
}
