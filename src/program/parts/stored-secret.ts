/**
 * Secrets that the first start creates and stores in the data folder, where the settings may omit them. Later starts and
 * other processes use the same one. Only the owner of a file can read it.
 */

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartError, systemErrorCode } from '../../errors.ts';

export interface StoredSecretOptions {
  /** The name of its file in the data folder. */
  readonly name: string;
  /** Creates a secret, without line breaks. */
  readonly create: () => string;
  /** The form of a valid secret. */
  readonly form: RegExp;
}

/** Returns the secret. Throws a StartError for a file with an invalid one, and the errors of the file system. */
export function readOrCreateSecret(dataDir: string, options: StoredSecretOptions): string {
  const file = join(dataDir, options.name);
  mkdirSync(dataDir, { recursive: true });
  return readSecret(file, options.form) ?? storeSecret(file, options);
}

/** Returns the secret in the file; undefined if there is no such file. */
function readSecret(file: string, form: RegExp): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (form.test(text)) return text;
  throw new StartError(
    `${file} holds no valid secret. Remove the file, and the next start creates a new one.`,
  );
}

/**
 * Stores a new secret and returns it. If another process stores one first, returns that one. The secret is written to a
 * draft, and a link gives the complete file its name: a link fails if the name exists.
 */
function storeSecret(file: string, { create, form }: StoredSecretOptions): string {
  const secret = create();
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${secret}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, file);
    return secret;
  } catch (error) {
    const other = readSecret(file, form);
    if (other === undefined) throw error;
    return other;
  } finally {
    rmSync(draft, { force: true });
  }
}
