import { randomBytes } from 'node:crypto';
import { reasonOf, StartError } from '../../errors.ts';
import type { Settings } from '../../settings/load.ts';
import { readOrCreateSecret } from './stored-secret.ts';

/**
 * Returns the secrets of access tokens: the first signs, all verify. They come from the settings. Where the settings may
 * omit them, the first start creates one and stores it in the data folder, so that a restart ends no session and all
 * workers use the same. A single process in a test needs neither, and gets a new one. Throws a StartError.
 */
export function signingSecrets({ application, security, server }: Settings): readonly string[] {
  if (security.jwtSecrets.length > 0) return security.jwtSecrets;
  const isTemporary = application.environment === 'test' && server.workers === 1;
  return [isTemporary ? createSecret() : storedSecret(application.dataDir)];
}

const createSecret = () => randomBytes(32).toString('hex');

function storedSecret(dataDir: string): string {
  try {
    return readOrCreateSecret(dataDir, { name: 'jwt-secret', create: createSecret, form: /^[0-9a-f]{64}$/ });
  } catch (cause) {
    if (cause instanceof StartError) throw cause;
    throw new StartError(
      `The secret for access tokens cannot be stored in ${dataDir} (${reasonOf(cause)}): set SECURITY_JWT_SECRET, or APP_DATA_DIR to a folder that this user can write to.`,
      { cause },
    );
  }
}
