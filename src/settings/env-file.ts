import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { StartError } from '../errors.ts';

/**
 * The variables of a `.env` file, read by Node's own parser. That parser drops a line it does not understand, or
 * glues it to the next, and a setting is lost without a word; so the lines are looked at first. Undefined if there is
 * no such file and `optional` says that there need not be one. Throws a StartError that names the line, never its text.
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
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT' && optional) return undefined;
    throw new StartError(`The settings file ${path} cannot be read (${code}): mend it or leave it out.`, {
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
        `Line ${index + 1} of ${path} is not understood: write NAME=value, or a comment after #.`,
      );
    }
    const quote = /^["'`]/.exec(value)?.[0];
    if (quote === undefined || value.indexOf(quote, 1) > 0) continue;
    // The value goes on over the lines up to the one that closes its quote.
    const closing = lines.findIndex((later, at) => at > index && later.includes(quote));
    if (closing < 0)
      throw new StartError(`Line ${index + 1} of ${path} opens a quote ${quote} that is never closed.`);
    index = closing;
  }
}
