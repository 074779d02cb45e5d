/**
 * The program in a temporary folder, built as for production, so that a proof can add parts to it and deploy new versions of
 * it, working and broken ones, while it runs.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildProgram, copyProgram } from '../helpers/program.ts';
import { testSecret } from '../helpers/test-secret.ts';
import { until } from './until.ts';

/** The version that new workers run: the number of a working version, or a version that never serves. */
export type Version = number | 'throws' | 'hangs';

export interface ProgramCopy {
  /** Temporary. A proof writes its files here. */
  readonly folder: string;
  deploy(version: Version): Promise<void>;
  /** Starts the program. Resolves when it serves. */
  start(env: Readonly<Record<string, string>>): Promise<RunningProgram>;
  /** Removes the folder, and kills the processes that still run. */
  remove(): Promise<void>;
}

export interface RunningProgram {
  readonly url: string;
  readonly process: ChildProcess;
  /** Resolves when the process and all its child processes that share its output have exited. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Returns how often an event has been logged so far. */
  count(event: string): number;
  /** Returns the last lines of the log without those of requests, to find out why a proof failed. */
  recent(): string;
}

const recentLines = 40;

/**
 * Builds the program in a temporary folder. `change` edits the sources before the build. Rejects with an Error that has the
 * output of the builder if the build fails.
 */
export async function makeProgramCopy(
  change: (sources: string) => Promise<void> = () => Promise.resolve(),
): Promise<ProgramCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-proof-'));
  const [sources, dist] = [join(folder, 'src'), join(folder, 'dist')];
  const running = new Set<ChildProcess>();
  await copyProgram(folder);
  await copyFile(join(import.meta.dirname, 'program-entry.mjs'), join(sources, 'program-entry.mjs'));
  await change(sources);
  const programs = ['program-entry.mjs', 'main-jobs.ts', 'program/task-thread.ts', 'program/task-isolate.ts'];
  await buildProgram(folder, programs).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });

  return {
    folder,
    deploy: (version) => writeFile(join(dist, 'generation.js'), sourceOf(version)),
    async start(env) {
      const child = spawn(process.execPath, [join(dist, 'program-entry.js')], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, SECURITY_JWT_SECRET: testSecret, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      running.add(child);
      void once(child, 'close').then(() => running.delete(child));
      return watch(child);
    },
    async remove() {
      for (const child of running) child.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function sourceOf(version: Version): string {
  const good = `export const generation = ${typeof version === 'number' ? version : 0};\n`;
  if (version === 'throws') return `${good}throw new Error('This version is broken.');\n`;
  if (version === 'hangs') return `${good}setInterval(() => {}, 1000);\nawait new Promise(() => {});\n`;
  return good;
}

async function watch(child: ChildProcess): Promise<RunningProgram> {
  if (child.stdout === null || child.stderr === null) throw new Error('The program has no pipes.');
  const counts = new Map<string, number>();
  const recent: string[] = [];
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = /"event":"([^"]+)"/.exec(line)?.[1] ?? '';
    counts.set(event, (counts.get(event) ?? 0) + 1);
    if (event.startsWith('http.')) return;
    recent.push(line);
    if (recent.length > recentLines) recent.shift();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  // The primary prints its addresses to standard error when all workers serve.
  const greeting = / API +(http:\/\/[^/\s]+)/;
  await until('the program serves', () => greeting.test(complaints) || child.exitCode !== null, 30_000);
  const url = greeting.exec(complaints)?.[1];
  if (url === undefined) throw new Error(`The program did not start.\n${complaints}`);
  return {
    url,
    process: child,
    ended,
    count: (event) => counts.get(event) ?? 0,
    recent: () => recent.join('\n'),
  };
}
