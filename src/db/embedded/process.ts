/**
 * Identifies processes. A process id is not enough: after a crash it may belong to another program. A process of this
 * program is identified by its id and its start time. The PostgreSQL of a data folder is identified by the device and
 * inode of the folder, which are on its command line, where every user of the machine may read them.
 */

import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { systemErrorCode } from '../../errors.ts';

const run = promisify(execFile);

/** Returns whether a process with this id exists, of any user. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: the process exists, and belongs to another user.
    return systemErrorCode(error) === 'EPERM';
  }
}

/** Returns a process and its start time as `pid:time`, in characters that `cluster_name` of PostgreSQL accepts. */
export async function identifyProcess(pid: number): Promise<string | undefined> {
  const moment = (await startOfProcess(pid))?.replace(/[^0-9A-Za-z]+/g, '-').slice(0, 40);
  return moment === undefined ? undefined : `${pid}:${moment}`;
}

/**
 * Returns the start time of a process as text, which is only compared: on Linux ticks since boot (field 22 of `stat`), on
 * other systems what `ps` prints. Returns undefined if there is no such process.
 */
async function startOfProcess(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps(pid, 'lstart=');
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field is the name in parentheses, and may contain anything.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

/** Returns the setting that marks the PostgreSQL of a data folder on its command line. */
export async function folderMark(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder);
  return `strata.folder=${dev}:${ino}`;
}

/**
 * Returns whether the process is the PostgreSQL of this data folder (`ours`), another process, or gone; `unknown` if the
 * system hides its command line.
 */
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
  // A process that has exited keeps its id until its parent reads its status. It has no command line, so it is `other`.
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
