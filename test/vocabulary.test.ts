/**
 * Holds the vocabulary of the project: idioms that only this project used must not come back into comments, documents,
 * messages and test names. A reader who knows the field but not the project must not have to guess.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');

/** Each idiom with what to write instead. */
const idioms: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\btold\b/i, 'receives, gets, is notified'],
  [/\bfor good\b|\bfor ever\b/i, 'permanently'],
  [/\bin vain\b/i, 'without effect'],
  [/\banew\b|\bbegun\b/i, 'again, started'],
  [/\bbut for\b/i, 'except'],
  [/\bdear(?:er|est)?\b/i, 'expensive'],
  [/\bnothing of the kind\b|\bthe way for\b/i, 'name the thing'],
  [/\bwhoever\b|\bsomebody\b|\bnobody\b|\beverybody\b/i, 'name the caller, client, process or operator'],
  [/\bsays\b|\bsaid\b/i, 'returns, logs, specifies, contains'],
  [/\bstands\b/i, 'is'],
  [/\bmend(?:s|ed|ing)?\b/i, 'fix'],
  [/\bchores?\b/i, 'retention rule'],
  // At the head of a sentence that is not a question.
  [/(?:^|[.:;] )(?:Who|Whose|What) (?![^.]*\?)/, 'name the subject'],
];

/** Lines that use such a word in its ordinary meaning. */
const exceptions: readonly RegExp[] = [
  // The user account of Unix.
  /`nobody`|a user postgres nor nobody/,
  // The text of an applied migration never changes.
  /^ {2}-- From this time on the count starts anew\.$|but for the case of its letters/,
  // Headings of documents.
  /^#+ Wh(?:o|at) /,
];

const folders = ['src', 'test', 'docs', 'sql', 'bench', 'dashboard', 'deploy', '.'];
const skipped =
  /(?:^|\/)(?:node_modules|results|built|vocabulary\.test\.ts|CHANGELOG\.md|LICENSE|package-lock\.json)(?:\/|$)/;
const files = folders
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' }).map((file) =>
      join(folder, file),
    ),
  )
  .filter((file) => /\.(?:ts|mjs|js|md|sql|html|ya?ml)$/.test(file) && !skipped.test(file));

/** The prose of a line: all of it in documents, comments and texts with spaces in code. */
function proseOf(file: string, line: string): string[] {
  if (!/\.(?:ts|mjs|js)$/.test(file)) return [line.replace(/^\s*(?:--|#+|-|\|)\s*/, '')];
  const comment = /^\s*(?:\/?\*+|\/\/)\s?(.*?)(?:\*\/)?$/.exec(line)?.[1] ?? /\s\/\/ (.*)$/.exec(line)?.[1];
  const texts = [...line.matchAll(/(['"`])((?:(?!\1).)*\s(?:(?!\1).)*)\1/g)].map(([, , text = '']) => text);
  // Code between two texts of a line is no text, and neither is an interpolation.
  return comment === undefined ? texts.map((text) => text.replace(/\$\{[^}]*\}/g, '')) : [comment];
}

describe('the vocabulary', () => {
  for (const [pattern, instead] of idioms) {
    it(`has no ${pattern.source}; write for example: ${instead}`, () => {
      const found = files.flatMap((file) =>
        readFileSync(join(root, file), 'utf8')
          .split('\n')
          .flatMap((line, index) => {
            const isFound = proseOf(file, line).some((prose) => pattern.test(prose.trim()));
            return isFound && !exceptions.some((each) => each.test(line))
              ? [`${file}:${index + 1}: ${line.trim()}`]
              : [];
          }),
      );
      assert.deepEqual(found, []);
    });
  }
});
