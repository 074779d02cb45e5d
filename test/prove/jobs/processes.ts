/**
 * The processes of the proof: a server whose jobs run beside its request workers, and standalone runners. A process
 * that is killed is restarted at once, as by a service manager.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { insertFeature } from '../../helpers/insert-feature.ts';
import { testSecret } from '../../helpers/test-secret.ts';
import { makeProgramCopy } from '../program-copy.ts';

export interface Processes {
  /** Starts a process and keeps it running. */
  keep(kind: KeptKind, env?: Readonly<Record<string, string>>): KeptProcess;
  /** Returns the last lines of all logs. */
  recent(): string;
  /** Stops all processes and removes the copy of the program. */
  end(): Promise<void>;
}

export type KeptKind = 'server' | 'runner';

export interface KeptProcess {
  readonly kind: KeptKind;
  pid(): number;
  /** Stops it permanently with SIGTERM. Resolves with its exit code; null if it had to be killed. */
  stop(): Promise<number | null>;
}

const respawnMs = 100;
const stopMs = 15_000;
const recentLines = 60;

/** Builds the program with the tasks of the proof. */
export async function makeProcesses(databaseUrl: string): Promise<Processes> {
  const copy = await makeProgramCopy(async (sources) => {
    await insertFeature(sources, 'ledger', await readFile(join(import.meta.dirname, 'tasks.mjs'), 'utf8'));
  });
  const dist = join(copy.folder, 'dist');
  await copy.deploy(1);
  const kept = new Set<KeptProcess>();
  const recent: string[] = [];

  const environment = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    APP_ENVIRONMENT: 'local',
    APP_DATABASE_URL: databaseUrl,
    APP_PORT: '0',
    APP_MANAGEMENT_PORT: '0',
    APP_LOG_FORMAT: 'json',
    APP_SHUTDOWN_GRACE_SECONDS: '5',
    APP_TASKS_THREADS: '2',
    SECURITY_JWT_SECRET: testSecret,
  };

  function start(kind: KeptKind, env: Readonly<Record<string, string>>): ChildProcess {
    const entry = kind === 'server' ? 'program-entry.js' : 'main-jobs.js';
    const child = spawn(process.execPath, [join(dist, entry)], {
      cwd: copy.folder,
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        if (line.includes('"level":"DEBUG"') || line.includes('"event":"job.')) return;
        recent.push(`${kind} ${child.pid}: ${line}`);
        if (recent.length > recentLines) recent.shift();
      });
    }
    return child;
  }

  return {
    keep(kind, env = {}) {
      let child = start(kind, env);
      let stopping = false;
      const keeping = keep();
      async function keep(): Promise<void> {
        for (;;) {
          await once(child, 'exit');
          if (stopping) return;
          await delay(respawnMs);
          if (stopping) return;
          child = start(kind, env);
        }
      }
      const process: KeptProcess = {
        kind,
        pid: () => child.pid ?? 0,
        async stop() {
          stopping = true;
          kept.delete(process);
          child.kill('SIGCONT');
          child.kill('SIGTERM');
          const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
          await keeping;
          clearTimeout(timer);
          return child.exitCode;
        },
      };
      kept.add(process);
      return process;
    },
    recent: () => recent.join('\n'),
    async end() {
      await Promise.all([...kept].map((process) => process.stop()));
      await copy.remove();
    },
  };
}
