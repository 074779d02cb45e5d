/**
 * Which processors run what. The server gets one for itself; the harness, the load generator and PostgreSQL, which
 * are children of the harness and inherit from it, get the others. Without that the scheduler moves them about, and
 * what is measured is also the moving. Processors that share a core with the server's stay idle if others are left.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Pinning {
  readonly server: number;
  readonly others: readonly number[];
}

/** Moves this process off the server's processor. Undefined where nothing can be pinned: no `taskset`, one processor. */
export function pinProcesses(): Pinning | undefined {
  const [server, ...rest] = allowedProcessors();
  if (server === undefined || rest.length === 0) return undefined;
  const core = coreOf(server);
  const apart = rest.filter((processor) => coreOf(processor) !== core);
  const others = apart.length > 0 ? apart : rest;
  try {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', others.join(','), String(process.pid)]);
  } catch {
    return undefined;
  }
  return { server, others };
}

/** The command that runs another one on the server's processor. */
export function pinToServer(
  command: readonly [string, ...string[]],
  pinning: Pinning | undefined,
): readonly [string, ...string[]] {
  return pinning === undefined ? command : ['taskset', '--cpu-list', String(pinning.server), ...command];
}

/** The processors that this process may use; none if the system does not report them. */
function allowedProcessors(): number[] {
  const list = readOrEmpty('/proc/self/status').match(/^Cpus_allowed_list:\s*(\S+)/m)?.[1] ?? '';
  return parseProcessorList(list);
}

/** `0-2,5` is 0, 1, 2 and 5. */
export function parseProcessorList(list: string): number[] {
  return list
    .split(',')
    .filter((range) => range !== '')
    .flatMap((range) => {
      const [first = Number.NaN, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** A text that processors of one core have in common. */
function coreOf(processor: number): string {
  const siblings = readOrEmpty(`/sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`);
  return siblings === '' ? `only ${processor}` : siblings;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
