/**
 * `npm run dev`: keeps the embedded database and the jobs process running, and restarts the server alone when its code
 * changes, so that a save is answered by the new code in less than a second.
 *
 *     this process ──┬── embedded PostgreSQL    until this process stops
 *                    ├── build.mjs              builds the programs into dist/dev, again after each change
 *                    ├── server                 restarted when its code, sql, dashboard or .env has changed
 *                    └── jobs                   replaced when the code of tasks or .env has changed; running jobs may finish
 *
 *     save ─> quiet for 25 ms ─> build ─> an error: printed; the server keeps running, and the next save is awaited
 *                                     └─> the new server loads its code while the old one stops, then opens its ports
 *
 * The server and the jobs process are supervised as those of a primary are: both stop by themselves if this process is
 * killed. Code of this process itself takes effect with the next `npm run dev`.
 */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJobsProcess, type JobsProcess } from '../../cluster/jobs-process.ts';
import { isUnplanned } from '../../cluster/process-state.ts';
import { type SupervisedProcess, superviseProcess } from '../../cluster/supervised-process.ts';
import { jobsEntry, serverEntry } from '../../entries.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { createMetrics } from '../../observability/metrics/metrics.ts';
import { projectRoot } from '../../project-root.ts';
import { renderHelp } from '../../settings/flags.ts';
import { loadSettings, type Settings } from '../../settings/load.ts';
import { createLifecycle } from '../lifecycle.ts';
import { openEmbedded } from '../parts/open-database.ts';
import { type ProcessContext, runProcess } from '../process.ts';
import { hasJobsProcess, supervisionOptions } from '../roles/supervision-options.ts';
import { startDevBuild } from './dev-build.ts';
import { watchFiles } from './watch-files.ts';

const serverPrograms = ['main'];
const jobsPrograms = ['main-jobs', 'program/thread-entry', 'program/isolate-entry'];

/** The jobs process serves no routes, so a change of only their code does not replace it. */
const routeFiles = '/routes\\.ts$';

/** How long the requests in progress of a server may take that is replaced, in milliseconds. */
const replacedMs = 200;

/** Runs the server until a signal stops it, then exits. */
export function runDevProgram(): void {
  runProcess({ nameOf: () => 'dev', roleOf: () => 'dev', help: renderHelp }, runDev);
}

async function runDev(context: ProcessContext): Promise<number> {
  const { log } = context;
  const signals = context.handleSignals();
  const lifecycle = createLifecycle(log);
  const builder = startDevBuild(dirname(fileURLToPath(serverEntry)));
  const server = createDevServer(context);
  const jobs = createDevJobs(context);
  const cluster = { url: undefined as string | undefined };
  let jobsUpdated: Promise<void> = Promise.resolve();
  let isChanged = true;
  let isStopping = false;
  let wake = () => {};

  async function databaseUrlOf({ application }: Settings): Promise<string | null> {
    const { databaseKind, databaseUrl, dataDir } = application;
    if (databaseKind !== 'embedded') return databaseKind === 'none' ? null : databaseUrl;
    cluster.url ??= await openEmbedded(join(dataDir, 'postgres'), log, lifecycle);
    return cluster.url;
  }

  /** Builds, and restarts what has changed. */
  async function update(): Promise<void> {
    const startedAt = performance.now();
    const { settings } = loadSettings(context.source);
    const files = digestFiles();
    const code = await builder.build({ names: serverPrograms });
    if (isStopping) return;
    if (code === null) return print('The build has failed. The next save is awaited.');
    const databaseUrl = await databaseUrlOf(settings);
    if (isStopping) return;
    await server.update(`${code} ${files}`, databaseUrl, startedAt);
    // The next save does not wait for the jobs process.
    jobsUpdated = jobsUpdated.then(() => updateJobs(settings, databaseUrl)).catch(printStartError);
  }

  async function updateJobs(settings: Settings, databaseUrl: string | null): Promise<void> {
    if (isStopping) return;
    const code = await builder.build({ names: jobsPrograms, without: routeFiles });
    if (code === null || isStopping) return;
    await jobs.update(`${code} ${digestOf([join(projectRoot, '.env')])}`, settings, databaseUrl);
  }

  async function loop(): Promise<void> {
    while (!isStopping) {
      while (isChanged && !isStopping) {
        isChanged = false;
        await update().catch(printStartError);
      }
      if (isStopping) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  const stopWatching = watchFiles({
    folders: ['src', 'sql', 'dashboard'].map((name) => join(projectRoot, name)),
    files: [join(projectRoot, '.env')],
    onChange() {
      isChanged = true;
      wake();
    },
  });
  process.on('exit', () => {
    server.kill();
    jobs.kill();
  });
  const looping = loop();
  await Promise.race([signals.stop, looping]);
  isStopping = true;
  wake();
  stopWatching();
  builder.stop();
  await Promise.all([server.stop(), jobs.stop()]);
  await Promise.all([looping, jobsUpdated]);
  // An update that was in progress may have started another one.
  await Promise.all([server.stop(), jobs.stop()]);
  await lifecycle.closeAll();
  return 0;
}

function createDevServer({ settings, log, startChild }: ProcessContext) {
  let current: SupervisedProcess | undefined;
  let currentDigest = '';
  let lastId = 0;

  function spawn(databaseUrl: string | null, previous: SupervisedProcess | undefined): SupervisedProcess {
    lastId += 1;
    const id = lastId;
    const isRestart = previous !== undefined;
    const spawned: SupervisedProcess = superviseProcess({
      ...supervisionOptions(settings),
      stopTimeoutMs: replacedMs,
      drainTimeoutMs: replacedMs,
      kind: 'requests',
      spawn: () => ({ id, child: startChild(serverEntry) }),
      generation: id,
      log: onlyWarnings(log),
      onMessage({ kind }) {
        if (kind !== 'hello') return;
        // The ports are free only when the previous server has exited. Meanwhile this one has loaded its code.
        void (previous?.ended ?? Promise.resolve()).then(() =>
          spawned.send({ kind: 'begin', databaseUrl, isRestart }),
        );
      },
    });
    void spawned.ended.then(({ reason, readyMs }) => {
      if (isUnplanned(reason) && readyMs > 0) print('The server has exited. The next save starts it again.');
    });
    return spawned;
  }

  return {
    /** Replaces the server, unless the digest of its code and files is the same. */
    async update(digest: string, databaseUrl: string | null, startedAt: number): Promise<void> {
      if (digest === currentDigest && current?.state !== 'ended') return;
      currentDigest = digest;
      const previous = current;
      current = spawn(databaseUrl, previous);
      previous?.drain('stopped');
      const result = await current.started;
      if ('error' in result) print('The server did not start. The next save is awaited.');
      else if (previous !== undefined) {
        print(`Restarted in ${Math.round(performance.now() - startedAt)} ms: ${result.url}`);
      }
    },
    async stop(): Promise<void> {
      current?.drain('stopped');
      await current?.ended;
    },
    kill: () => current?.kill('stopped'),
  };
}

function createDevJobs({ log, startChild }: ProcessContext) {
  let current: JobsProcess | undefined;
  let currentDigest = '';
  const stopping = new Set<Promise<void>>();

  function retire(jobs: JobsProcess | undefined): void {
    if (jobs === undefined) return;
    const stopped = jobs.stop();
    stopping.add(stopped);
    void stopped.then(() => stopping.delete(stopped));
  }

  return {
    /** Replaces the jobs process, unless the digest of its code and settings is the same. Does not wait for running jobs. */
    async update(digest: string, settings: Settings, databaseUrl: string | null): Promise<void> {
      if (digest === currentDigest) return;
      currentDigest = digest;
      retire(current);
      current = undefined;
      if (databaseUrl === null || !hasJobsProcess(settings)) return;
      current = createJobsProcess({
        supervision: supervisionOptions(settings),
        spawn: () => startChild(jobsEntry),
        log: onlyWarnings(log.named('jobs')),
        // Of each process: a name can be declared once, and nothing reads them here.
        metrics: createMetrics(),
        fleetMetrics: { receive() {}, archive() {} },
      });
      await current.start(databaseUrl);
    },
    async stop(): Promise<void> {
      retire(current);
      await Promise.all(stopping);
    },
    kill: () => current?.kill(),
  };
}

/** The reports of starts and stops are for operators of a fleet. A developer sees the lines of the processes themselves. */
function onlyWarnings(log: Logger): Logger {
  return { ...log, info() {}, named: (name) => onlyWarnings(log.named(name)) };
}

/** Returns a digest of the files besides code that a start reads. */
function digestFiles(): string {
  const files = ['sql', 'dashboard'].flatMap((folder) =>
    readdirSync(join(projectRoot, folder)).map((name) => join(projectRoot, folder, name)),
  );
  return digestOf([join(projectRoot, '.env'), ...files]);
}

function digestOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const file of files) {
    hash.update(file);
    try {
      hash.update(readFileSync(file));
    } catch {
      // It does not exist.
    }
  }
  return hash.digest('hex');
}

/** Throws any other error. */
function printStartError(error: unknown): void {
  if (!(error instanceof StartError)) throw error;
  print(`${error.message}\nThe next save is awaited.`);
}

function print(text: string): void {
  process.stderr.write(`\n${text}\n\n`);
}
