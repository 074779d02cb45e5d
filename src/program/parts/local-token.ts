import { randomBytes } from 'node:crypto';
import { StartError } from '../../errors.ts';
import { isLoopback } from '../../settings/groups/management.ts';
import type { Settings } from '../../settings/load.ts';
import { readOrCreateSecret } from './stored-secret.ts';

/**
 * Returns the token with which the user of a local server changes jobs on the dashboard. The first start creates it; it
 * requires no setting and no restart. Returns null where it would be wrong (outside of local work, with a configured token,
 * on a port that other machines reach), and if the data folder is not writable: the dashboard is read-only then. Throws a
 * StartError for an invalid file.
 */
export function localToken({ application, server }: Settings): string | null {
  const { management, managementHost, managementToken } = server;
  if (application.environment !== 'local' || management === null) return null;
  if (managementToken !== '' || !isLoopback(managementHost)) return null;
  try {
    return readOrCreateSecret(application.dataDir, {
      name: 'management-token',
      // 32 characters, so that the link fits into a line of a terminal.
      create: () => randomBytes(24).toString('base64url'),
      form: /^[\w-]{32}$/,
    });
  } catch (error) {
    if (error instanceof StartError) throw error;
    return null;
  }
}

/**
 * Returns the link to the dashboard, with the local token in the fragment if there is one. A browser never sends the
 * fragment, so the token is in no log and no `Referer`.
 */
export function jobsLink(managementUrl: string, settings: Settings): string {
  const token = localToken(settings);
  return token === null ? `${managementUrl}/jobs` : `${managementUrl}/jobs#token=${token}`;
}
