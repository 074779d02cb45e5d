/**
 * How many connections this process may have. The settings say how many are wanted, and the system how many files a
 * process may open (`ulimit -n`), of which each connection is one. A process that runs out of them can neither answer
 * its probes, nor open a file, nor connect to its database, so some are kept for that:
 *
 *     | connections of clients ... | management port | database pool | log, files, mail, DNS, child processes |
 *     '--------------------------------- open files that the system allows ----------------------------------'
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Settings } from '../settings/load.ts';

export interface ConnectionLimits {
  /** Connections of clients. */
  readonly max: number;
  /** Of them, from one address. */
  readonly maxPerAddress: number;
  /** Connections of the management port. */
  readonly maxManagement: number;
  /** What the operator should know about a limit of the system that is below the settings; undefined if there is none. */
  readonly warning?: string;
}

/** For everything that is neither a connection of a client nor one of the database. */
const ownFiles = 64;
const maxManagementConnections = 256;
const minManagementConnections = 16;
/** Where a setting does not say how many connections one address may hold: a quarter. */
const shareOfAddress = 4;

/** `files` is the number of files that this process may open. */
export function connectionLimits({ server, application }: Settings, files: number): ConnectionLimits {
  const wanted = server.maxConnections;
  const reserve = Math.min(ownFiles + application.databasePoolSize, Math.floor(files / 2));
  const maxManagement = Math.min(
    maxManagementConnections,
    Math.max(minManagementConnections, Math.floor((files - reserve) / 8)),
  );
  const possible = Math.max(1, files - reserve - maxManagement);
  const max = Math.min(wanted, possible);
  const share = server.maxConnectionsPerAddress;
  const maxPerAddress = share === 'auto' ? Math.ceil(max / shareOfAddress) : Math.min(max, share);
  if (max === wanted) return { max, maxPerAddress, maxManagement };
  const needed = wanted + ownFiles + application.databasePoolSize + maxManagement;
  const warning =
    `APP_MAX_CONNECTIONS is ${wanted}, but the system lets a process open ${files} files: ${max} connections are ` +
    `accepted at most. Raise the limit (ulimit -n) to ${needed}, or lower APP_MAX_CONNECTIONS.`;
  return { max, maxPerAddress, maxManagement, warning };
}

/** How many files this process may open: the soft limit, which Node.js has raised to the hard one at its start. */
export function readFileLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    // Unlimited has no number.
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // Not Linux.
    const { stdout } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
    return Number.parseInt(stdout, 10) || Number.POSITIVE_INFINITY;
  }
}
