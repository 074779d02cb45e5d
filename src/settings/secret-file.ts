/**
 * Secrets that are in files: Docker, Kubernetes and systemd pass a secret as a file, because an environment is shown by
 * `docker inspect` and inherited by every child process. Each variable that is a secret has a second name, which ends with
 * `_FILE` and contains the path of the file: `APP_DATABASE_URL_FILE=/run/secrets/database-url`.
 */

import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { quote } from './quote.ts';

const suffix = '_FILE';

/** A secret is one line. A larger file is another one, by mistake. */
const maxBytes = 64 * 1024;

/** Returns the name of the variable that contains the path of the file. */
export function fileVariableOf(name: string): string {
  return `${name}${suffix}`;
}

/** Returns the variable whose file this variable would name, or undefined if the name does not end with `_FILE`. */
export function variableOfFile(name: string): string | undefined {
  return name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
}

export type SecretFile = { readonly text: string } | { readonly problem: string };

/**
 * Reads a secret, without the white space around it: most programs that write a file end it with a line break. Returns the
 * end of a sentence instead if the file cannot be used. The sentence never contains the text of the file.
 */
export function readSecretFile(path: string): SecretFile {
  // Only an absolute path is shown: another text may be the secret itself, written into the wrong variable.
  const shown = isAbsolute(path)
    ? `the file ${quote(path)}`
    : 'a file (its path is not absolute, so it is not shown)';
  try {
    const found = statSync(path);
    if (!found.isFile()) return { problem: `${shown}, which is not a regular file` };
    if (found.size > maxBytes) return { problem: `${shown}, which is larger than ${maxBytes} bytes` };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path)).trim();
    return text === '' ? { problem: `${shown}, which is empty` } : { text };
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined || code.startsWith('ERR_'))
      return { problem: `${shown}, which is not UTF-8 text` };
    return {
      problem:
        code === 'ENOENT' ? `${shown}, which does not exist` : `${shown}, which cannot be read (${code})`,
    };
  }
}
