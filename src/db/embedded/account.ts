/**
 * PostgreSQL refuses to run as root. When this program is root, PostgreSQL runs as another user of the machine: the
 * owner of the existing data, otherwise `postgres`, otherwise `nobody`.
 */

import { readFile, stat } from 'node:fs/promises';
import { StartError } from '../../errors.ts';

export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Returns the account to run PostgreSQL as, or undefined for the current one. `cluster` is the data folder, which need
 * not exist. Throws a StartError if the program is root and there is no such account, or no `/proc`, without which
 * PostgreSQL could not enter a data folder below a folder of root.
 */
export async function findAccount(cluster: string): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  if ((await stat('/proc/self/cwd').catch(() => undefined)) === undefined) {
    throw new StartError(
      'The embedded PostgreSQL cannot be started by root on a system without /proc: run this program as another user, or set APP_DATABASE_URL.',
    );
  }
  const data = await stat(cluster).catch(() => undefined);
  if (data !== undefined && data.uid !== 0) return { uid: data.uid, gid: data.gid };

  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const account = readAccount(passwd, 'postgres') ?? readAccount(passwd, 'nobody');
  if (account === undefined) {
    throw new StartError(
      'PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody: create one, run this program as another user, or set APP_DATABASE_URL.',
    );
  }
  return account;
}

/** Finds a user in the text of `/etc/passwd`: name:password:uid:gid:… */
export function readAccount(passwd: string, name: string): SystemUser | undefined {
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (!uid || !gid || Number(uid) === 0) return undefined;
  return { uid: Number(uid), gid: Number(gid) };
}
