/**
 * The maximum numbers of connections of this process. The settings define the desired number; the system limits how many
 * files a process may open (`ulimit -n`), and each connection is one. A process without free file descriptors can neither
 * answer probes, nor open a file, nor connect to its database, so some are reserved:
 *
 *     | connections of clients ... | management port | database pool | log, files, mail, DNS, child processes |
 *     '---------------------------------- file limit of the system (ulimit -n) --------------------------------'
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Settings } from '../../settings/load.ts';

export interface ProcessConnectionLimits {
  /** Client connections. */
  readonly max: number;
  /** Client connections from one address. */
  readonly maxPerAddress: number;
  /** Connections to the management port. */
  readonly maxManagement: number;
  /** A sentence for the operator if the limit of the system is below the settings. */
  readonly warning?: string;
}

/** Files other than client and database connections. */
const ownFiles = 64;
const maxManagementConnections = 256;
const minManagementConnections = 16;
/** By default one address may hold a quarter of the connections. */
const shareOfAddress = 4;

/** Returns the limits of a process that may open `files` files. */
export function connectionLimits({ server, application }: Settings, files: number): ProcessConnectionLimits {
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
  const needed = wanted + ownFiles + application.databasePoolSize + maxManagementConnections;
  const warning =
    `APP_MAX_CONNECTIONS is ${wanted}, but the system allows ${files} open files, so at most ${max} connections are ` +
    `accepted. Raise the limit (ulimit -n) to ${needed}, or lower APP_MAX_CONNECTIONS.`;
  return { max, maxPerAddress, maxManagement, warning };
}

/** Returns how many files this process may open: the soft limit, which Node.js raises to the hard limit at its start. */
export function readFileLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    // `unlimited` is no number.
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // There is no /proc: the system is not Linux.
    const { stdout } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
    return Number.parseInt(stdout, 10) || Number.POSITIVE_INFINITY;
  }
}
