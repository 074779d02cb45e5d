import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, StartError } from '../errors.ts';
import type { Settings } from '../settings/load.ts';

/**
 * The secrets of access tokens: those of the settings, or else, where the settings may leave them out, one that is
 * made at the first start and kept in the data folder, so that a restart signs nobody out and several workers agree.
 * A single process in a test needs neither, and gets one of its own. The first signs, all verify. Throws a StartError.
 */
export function signingSecrets({ application, security, server }: Settings): readonly string[] {
  if (security.jwtSecrets.length > 0) return security.jwtSecrets;
  const forgets = application.environment === 'test' && server.workers === 1;
  return [forgets ? makeSecret() : readOrMakeSecret(application.dataDir)];
}

const makeSecret = () => randomBytes(32).toString('hex');

function readOrMakeSecret(dataDir: string): string {
  const file = join(dataDir, 'jwt-secret');
  try {
    mkdirSync(dataDir, { recursive: true });
    return readSecret(file) ?? keepSecret(file);
  } catch (cause) {
    if (cause instanceof StartError) throw cause;
    throw new StartError(
      `The secret for access tokens cannot be kept in ${dataDir} (${reasonOf(cause)}): set SECURITY_JWT_SECRET, or APP_DATA_DIR to a folder that this user may write in.`,
      { cause },
    );
  }
}

/** The secret in the file; undefined if there is no such file. */
function readSecret(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new StartError(
    `${file} holds no secret of this program: remove it, and the next start makes a new one.`,
  );
}

/**
 * Makes the file, unless another process is faster: then its secret is the one. The file appears under its name only
 * when it is complete, since a link to it is made where none may be yet.
 */
function keepSecret(file: string): string {
  const secret = makeSecret();
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
