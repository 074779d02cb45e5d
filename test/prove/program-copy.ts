/**
 * A copy of the program in a folder of its own, built like production, so that a proof can add parts to it, and deploy good
 * and broken versions of it while it runs.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildProgram, copySources } from '../helpers/program.ts';
import { testSecret } from '../helpers/test-secret.ts';
import { until } from './until.ts';

/** The version that new workers run: a working one, by its number, or one that never becomes ready. */
export type DeployedVersion = number | 'throws' | 'hangs';

export interface ProofProgram {
  /** A temporary folder, also for the files of the proof. */
  readonly folder: string;
  deploy(version: DeployedVersion): Promise<void>;
  /** Starts the program, and resolves when it is ready. */
  start(env: Readonly<Record<string, string>>): Promise<RunningProgram>;
  /** Kills running processes, and removes the folder. */
  remove(): Promise<void>;
}

export interface RunningProgram {
  readonly url: string;
  readonly process: ChildProcess;
  /** Resolves when the process and all its children that share its output have exited. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Returns how often an event has been logged. */
  count(event: string): number;
  /** Returns the last log lines, except those of requests, for diagnosing a failed proof. */
  recent(): string;
}

const recentLines = 40;

/**
 * Builds the program in a temporary folder, after `change` has modified its sources. Rejects with an Error that contains the
 * output of the build if it fails.
 */
export async function makeProgramCopy(
  change: (sources: string) => Promise<void> = () => Promise.resolve(),
): Promise<ProofProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-proof-'));
  const [sources, dist] = [join(folder, 'src'), join(folder, 'dist')];
  const running = new Set<ChildProcess>();
  await copySources(folder);
  await copyFile(join(import.meta.dirname, 'program-entry.mjs'), join(sources, 'program-entry.mjs'));
  await change(sources);
  const programs = [
    'program-entry.mjs',
    'main-jobs.ts',
    'program/thread-entry.ts',
    'program/isolate-entry.ts',
  ];
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

function sourceOf(version: DeployedVersion): string {
  const working = `export const generation = ${typeof version === 'number' ? version : 0};\n`;
  if (version === 'throws') return `${working}throw new Error('This version is broken.');\n`;
  if (version === 'hangs') return `${working}setInterval(() => {}, 1000);\nawait new Promise(() => {});\n`;
  return working;
}

async function watch(child: ChildProcess): Promise<RunningProgram> {
  if (child.stdout === null || child.stderr === null) throw new Error('The process has no pipes.');
  const counts = new Map<string, number>();
  const recent: string[] = [];
  let errorOutput = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorOutput += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = /"event":"([^"]+)"/.exec(line)?.[1] ?? '';
    counts.set(event, (counts.get(event) ?? 0) + 1);
    if (event.startsWith('http.')) return;
    recent.push(line);
    if (recent.length > recentLines) recent.shift();
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  // The primary prints its greeting on standard error when all workers are ready.
  const greeting = / API +(http:\/\/[^/\s]+)/;
  await until('the program is ready', () => greeting.test(errorOutput) || child.exitCode !== null, 30_000);
  const url = greeting.exec(errorOutput)?.[1];
  if (url === undefined) throw new Error(`The program did not start.\n${errorOutput}`);
  return {
    url,
    process: child,
    ended,
    count: (event) => counts.get(event) ?? 0,
    recent: () => recent.join('\n'),
  };
}
