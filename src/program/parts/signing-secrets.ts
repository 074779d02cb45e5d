import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, StartError, systemErrorCode } from '../../errors.ts';
import type { Settings } from '../../settings/load.ts';

/**
 * Returns the secrets of access tokens: the first signs, all verify. They come from the settings. Where the settings may
 * omit them, the first start creates one and stores it in the data folder, so that a restart ends no session and all
 * workers use the same. A single process in a test needs neither, and gets a new one. Throws a StartError.
 */
export function signingSecrets({ application, security, server }: Settings): readonly string[] {
  if (security.jwtSecrets.length > 0) return security.jwtSecrets;
  const isTemporary = application.environment === 'test' && server.workers === 1;
  return [isTemporary ? createSecret() : readOrCreateSecret(application.dataDir)];
}

const createSecret = () => randomBytes(32).toString('hex');

function readOrCreateSecret(dataDir: string): string {
  const file = join(dataDir, 'jwt-secret');
  try {
    mkdirSync(dataDir, { recursive: true });
    return readSecret(file) ?? storeSecret(file);
  } catch (cause) {
    if (cause instanceof StartError) throw cause;
    throw new StartError(
      `The secret for access tokens cannot be stored in ${dataDir} (${reasonOf(cause)}): set SECURITY_JWT_SECRET, or APP_DATA_DIR to a folder that this user can write to.`,
      { cause },
    );
  }
}

/** Returns the secret in the file; undefined if there is no such file. */
function readSecret(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new StartError(
    `${file} holds no valid secret. Remove the file, and the next start creates a new one.`,
  );
}

/**
 * Stores a new secret and returns it. If another process stores one first, returns that one. The secret is written to a
 * draft, and a link gives the complete file its name: a link fails if the name exists.
 */
function storeSecret(file: string): string {
  const secret = createSecret();
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${secret}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, file);
    return secret;
  } catch (error) {
    const other = readSecret(file);
    if (other === undefined) throw error;
    return other;
  } finally {
    rmSync(draft, { force: true });
  }
}
