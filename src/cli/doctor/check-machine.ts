/** Checks what the settings cannot: the version of Node, and the limits of the machine or the container. */

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { connectionLimits, readFileLimit } from '../../program/parts/connection-limits.ts';
import type { Settings } from '../../settings/load.ts';
import { createFindings, type Finding } from './finding.ts';

/** The ends of security updates of Node's long-term versions (https://github.com/nodejs/release, schedule.json). */
const endsOfSupport: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
};

/** Returns the findings about a version of Node on a day (`2026-11-30`). */
export function checkNode(version: string, today: string): readonly Finding[] {
  const found = createFindings('Node.js');
  const major = Number(/^v?(\d+)/.exec(version)?.[1]);
  const end = endsOfSupport[major];
  const supported = Object.entries(endsOfSupport)
    .filter(([, date]) => date >= today)
    .map(([each]) => each);
  const instead = supported.length === 0 ? 'a newer version' : supported.join(' or ');
  if (end !== undefined && end < today) {
    found.advise(`Node.js ${version} has had no security updates since ${end}: use ${instead}.`);
  } else if (end === undefined && major % 2 === 1) {
    found.advise(
      `Node.js ${version} is not a long-term version and gets updates for half a year only: use ${instead}.`,
    );
  } else {
    found.fine(`Node.js ${version}${end === undefined ? '' : ` has security updates until ${end}`}.`);
  }
  return found.list;
}

/** The oldest version of the time zone database that is no reason for advice, in years. */
const maxZoneAgeYears = 2;

/** Checks the time zone data that schedules use: its version is a year and a letter, such as `2026b`. */
export function checkTimeZones(version: string | undefined, year: number): readonly Finding[] {
  const found = createFindings('time zones');
  const age = year - Number(version?.slice(0, 4));
  if (Number.isNaN(age)) {
    found.advise(
      'This Node.js has no time zone data, so schedules in other zones than UTC fail: use an official build.',
    );
  } else if (age > maxZoneAgeYears) {
    found.advise(
      `The time zone data of Node.js is of ${version}, so schedules can run at wrong times: update Node.js.`,
    );
  } else {
    found.fine(`The time zone data is of ${version}.`);
  }
  return found.list;
}

export function checkFiles(settings: Settings, limit: number = readFileLimit()): readonly Finding[] {
  const found = createFindings('open files');
  const { warning } = connectionLimits(settings, limit);
  if (warning === undefined) found.fine(`A process may open ${limit} files.`);
  else found.advise(warning);
  return found.list;
}

/** Resident memory of processes when idle and for what requests use, in MiB (docs/deployment.md has the measurements). */
const processMegabytes = 150;
/** Memory of a password hash; each worker computes two at a time. */
const hashMegabytes = 2 * 128;

/** Compares the memory that the processes of the settings need with the limit of the container, or of the machine. */
export function checkMemory(
  { server, tasks, application }: Settings,
  limit: number = readMemoryLimit(),
): readonly Finding[] {
  const found = createFindings('memory');
  const worker = processMegabytes + hashMegabytes + application.cacheMemoryMb;
  const workers = server.workers * worker + (server.workers > 1 ? processMegabytes : 0);
  const jobs = tasks.enabled && application.databaseKind !== 'none';
  const needed = workers + (jobs ? processMegabytes + tasks.threads * tasks.threadMemoryMb : 0);
  const available = Math.floor(limit / 2 ** 20);
  const parts = `${server.workers === 1 ? 'one worker' : `${server.workers} workers and their primary`}${jobs ? `, and jobs in ${tasks.threads} threads` : ''}`;
  if (needed > available) {
    found.advise(
      `${capitalise(parts)} can use ${needed} MiB, and the limit is ${available} MiB, so the system may kill them: raise the limit, or lower APP_WORKERS, APP_TASKS_THREADS or APP_TASKS_THREAD_MEMORY_MB.`,
    );
  } else {
    found.fine(`${capitalise(parts)} can use ${needed} MiB of ${available} MiB.`);
  }
  const maxWorker = server.workerMaxMemoryMb;
  if (maxWorker > 0 && maxWorker < worker) {
    found.advise(
      `APP_WORKER_MAX_MEMORY_MB=${maxWorker} is less than the ${worker} MiB that a busy worker can need, so workers are replaced again and again: raise it, or set it to 0.`,
    );
  }
  return found.list;
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Returns the memory limit of the control group (version 2, then 1), or else the memory of the machine, in bytes. */
function readMemoryLimit(): number {
  const limits = ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'].flatMap(
    (path) => {
      try {
        const value = Number(readFileSync(path, 'utf8'));
        return Number.isFinite(value) ? [value] : [];
      } catch {
        return [];
      }
    },
  );
  return Math.min(totalmem(), ...limits);
}
