/**
 * Which process is which. A process id alone is not enough: after a crash it may belong to someone else. A process
 * of ours is known by its id and the moment it started; a PostgreSQL of a data folder is known by the folder's own
 * number, which stands on its command line, where every user of the machine may read it.
 */

import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isAlive } from './cluster.ts';

const run = promisify(execFile);

/** A process and the moment it started, as `pid:moment`, in letters that PostgreSQL takes in its `cluster_name`. */
export async function identifyProcess(pid: number): Promise<string | undefined> {
  const moment = (await startOfProcess(pid))?.replace(/[^0-9A-Za-z]+/g, '-').slice(0, 40);
  return moment === undefined ? undefined : `${pid}:${moment}`;
}

/** In whatever form the system tells it. Linux: ticks since boot, the 22nd field of `stat`; others: `ps`. */
async function startOfProcess(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps(pid, 'lstart=');
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the name in parentheses, and may hold anything.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

/** What a PostgreSQL of the data folder has on its command line. */
export async function folderMark(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  return `strata.folder=${dev}:${ino}`;
}

/** Whether a process id belongs to the PostgreSQL of a data folder. `unknown` if the system does not tell. */
export async function classifyProcess(
  pid: number,
  folder: string,
): Promise<'gone' | 'ours' | 'other' | 'unknown'> {
  if (!isAlive(pid)) return 'gone';
  const line =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
      : await ps(pid, 'command=');
  if (!isAlive(pid)) return 'gone';
  if (line === undefined) return 'unknown';
  // One that has ended and was not waited for still has its id, and no command line: it is nobody's any more.
  return line.includes(await folderMark(folder)) ? 'ours' : 'other';
}

async function ps(pid: number, field: string): Promise<string | undefined> {
  try {
    return (
      await run('ps', ['-o', field, '-p', String(pid)], { env: { LC_ALL: 'C', PATH: '/bin:/usr/bin' } })
    ).stdout;
  } catch {
    return undefined;
  }
}
