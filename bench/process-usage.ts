import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The usage that the operating system reports for a server: its process and the workers it has forked, all threads. */
export interface Usage {
  /** Processor time in user and system mode since its start. */
  readonly cpuSeconds: number;
  /** Memory that is in RAM now. */
  readonly residentBytes: number;
}

/** Asked from outside, so that the measured server does nothing for it. Throws if there is no such process. */
export function readUsage(pid: number): Usage {
  const read = process.platform === 'linux' ? readProc : readPs;
  const usages = [pid, ...childrenOf(pid)].map(read);
  return {
    cpuSeconds: usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    residentBytes: usages.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
  };
}

function childrenOf(parent: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' });
  return [...table.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm)]
    .filter(([, , ppid, command]) => Number(ppid) === parent && command !== 'ps')
    .map(([, pid]) => Number(pid));
}

/** The unit of the times in /proc on every architecture that Node runs on (USER_HZ). */
const ticksPerSecond = 100;

function readProc(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in parentheses, which may hold spaces; utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const kibibytes = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s*(\d+) kB/m)?.[1];
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentBytes: Number(kibibytes) * 1024,
  };
}

/** The way of other Unix systems: `ps` prints `[[dd-]hh:]mm:ss.cc` and kibibytes. */
function readPs(pid: number): Usage {
  const [time = '', kibibytes] = execFileSync('ps', ['-o', 'time=,rss=', '-p', String(pid)], {
    encoding: 'utf8',
  })
    .trim()
    .split(/\s+/);
  const weights = [1, 60, 3600, 86_400];
  const parts = time.split(/[:-]/).map(Number).reverse();
  return {
    cpuSeconds: parts.reduce((sum, part, index) => sum + part * (weights[index] ?? Number.NaN), 0),
    residentBytes: Number(kibibytes) * 1024,
  };
}
