import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The state of a listening socket in `/proc/net/tcp`. */
const listening = '0A';

/**
 * Returns the TCP ports on which processes listen, from `/proc` (Linux): those of one process, or of all whose files this
 * user can see. In a container these are the processes of the container. Returns none if there is no `/proc`.
 */
export function findListeningPorts(pid?: number): number[] {
  const pids = pid === undefined ? numbersIn('/proc') : [pid];
  return [...new Set(pids.flatMap(portsOf))];
}

function portsOf(pid: number): number[] {
  const inodes = socketsOf(pid);
  if (inodes.size === 0) return [];
  return ['tcp', 'tcp6'].flatMap((table) =>
    linesOf(`/proc/${pid}/net/${table}`).flatMap((line) => {
      // sl, local_address, rem_address, st, tx_queue:rx_queue, tr:tm->when, retrnsmt, uid, timeout, inode
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const port = Number.parseInt(local.split(':')[1] ?? '', 16);
      return state === listening && inodes.has(inode) ? [port] : [];
    }),
  );
}

/** Returns the inodes of the sockets that the process has open. */
function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  return new Set(
    numbersIn(folder).flatMap((descriptor) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${descriptor}`))?.[1] ?? [];
      } catch {
        // It was closed meanwhile.
        return [];
      }
    }),
  );
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number).filter(Number.isInteger);
  } catch {
    // The process has exited, or belongs to another user.
    return [];
  }
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(1);
  } catch {
    return [];
  }
}
