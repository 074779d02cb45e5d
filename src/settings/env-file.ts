import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { StartError, systemErrorCode } from '../errors.ts';

/**
 * Reads the variables of a `.env` file with Node's parser. That parser silently drops an invalid line or joins it with
 * the next one, so the lines are checked first. Returns undefined if the file does not exist and `optional` is true.
 * Throws a StartError with the number of the invalid line, but never with its text, which may be a secret.
 */
export function readEnvFile(path: string, optional: boolean): Record<string, string | undefined> | undefined {
  const text = readText(path, optional);
  if (text === undefined) return undefined;
  checkLines(path, text);
  return parseEnv(text);
}

function readText(path: string, optional: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === 'ENOENT' && optional) return undefined;
    throw new StartError(`The settings file ${path} cannot be read (${code}): fix or remove it.`, {
      cause,
    });
  }
}

function checkLines(path: string, text: string): void {
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const line = (lines[index] ?? '').trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, value] = /^(?:export\s+)?[A-Za-z_][\w.-]*\s*=\s*(.*)$/.exec(line) ?? [];
    if (value === undefined) {
      throw new StartError(
        `Line ${index + 1} of ${path} is invalid: write NAME=value, or a comment that starts with #.`,
      );
    }
    const quote = /^["'`]/.exec(value)?.[0];
    if (quote === undefined || value.indexOf(quote, 1) > 0) continue;
    // The value continues to the line that closes the quote.
    const closing = lines.findIndex((later, at) => at > index && later.includes(quote));
    if (closing < 0)
      throw new StartError(
        `Line ${index + 1} of ${path} opens a quote ${quote} that is never closed: close it.`,
      );
    index = closing;
  }
}
