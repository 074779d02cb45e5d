/**
 * Holds the vocabulary of the project: idioms that only this project used must not come back into comments, documents,
 * messages, test names and identifiers. A reader who knows the field but not the project must not have to guess.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');

/** Each idiom with what to write instead. */
const idioms: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\btold\b|\btells?\b|\bhears?\b/i, 'receives, gets, is notified'],
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
  [/\brefusals?\b/i, 'rejection'],
  [
    /\b(?:route|flag|driver|schema|parameter|endpoint|setting|process|function|layer)s?\b[^.]{0,30} takes (?:an?|any|no|their|only|either)\b/,
    'accepts, requires',
  ],
  [
    /\bends (?:(?:only |all )?(?:the|its|an?|any|each|every|that|this) |all )(?:\w+ )?(?:process(?:es)?|program|worker|run|loop|server|threads?|runner|attempts?|leases?)\b/,
    'stops, terminates, crashes, finishes',
  ],
  // "The transaction ends" and "the request ends" are terms of PostgreSQL and HTTP.
  [
    /\b(?:process|program|worker|runner|server|thread|sessions?|streams?|connection|lease|lock|timer|loop|sleep|attempt|job|task|token|access|shortage|pool)(?: that| which)? ends\b(?! (?:the|its|no|an?|all|each|that|only) )/,
    'stops, exits, closes, expires, finishes',
  ],
  // At the head of a sentence that is not a question.
  [/(?:^|[.:;] )(?:Who|Whose|What) (?![^.]*\?)/, 'name the subject'],
];

/** Words that are not part of an identifier, with what to write instead. */
const identifierWords: Readonly<Record<string, string>> = {
  ...{
    told: 'received',
    tell: 'notify',
    tells: 'notifies',
    hear: 'receive',
    hears: 'receives',
    heard: 'received',
  },
  ...{ says: 'message', said: 'message', somebody: 'user', whoever: 'caller', anew: 'again' },
  ...{
    chore: 'retentionRule',
    chores: 'retentionRules',
    obstacle: 'problem',
    alarm: 'sleep',
    paced: 'cached',
  },
  ...{
    stray: 'unexpected',
    strays: 'unexpected',
    wear: 'reason',
    begun: 'started',
    stands: 'is',
    mend: 'fix',
  },
  ...{ silence: 'silent', silences: 'silent', patience: 'timeout', ways: 'options', world: 'fixture' },
  ...{ refuse: 'reject', refuses: 'rejects', refusal: 'rejection', refusals: 'rejections' },
};

/** Names such as `longestName` for a maximum. A local `longest` of a search is fine. */
const superlative = /^(?:most|longest|shortest|least|fewest|widest|narrowest)[A-Z]/;

/** Lines that use such a word in its ordinary meaning. */
const exceptions: readonly RegExp[] = [
  // The user account of Unix.
  /`nobody`|a user postgres nor nobody/,
  // A secret that can be guessed.
  /do not tell!/,
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

/** Returns the identifiers of a line of code: no comment, no text, no property of a template text. */
function identifiersOf(line: string): readonly string[] {
  if (/^\s*(?:\/?\*|\/\/)/.test(line)) return [];
  const code = line.replace(
    /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|\/(?:[^/\\ ]|\\.)+\/|\s\/\/ .*$/g,
    '',
  );
  // A line of a longer text has no operator or bracket, as code nearly always has.
  return /[=(){}:;]/.test(code) ? (code.match(/[A-Za-z_$][\w$]*/g) ?? []) : [];
}

const lines = files.flatMap((file) =>
  readFileSync(join(root, file), 'utf8')
    .split('\n')
    .map((line, index) => ({
      place: `${file}:${index + 1}`,
      line,
      proses: proseOf(file, line).map((prose) => prose.trim()),
    })),
);

describe('the vocabulary', () => {
  for (const [pattern, instead] of idioms) {
    it(`has no ${pattern.source}; write for example: ${instead}`, () => {
      const found = lines
        .filter(({ line, proses }) => {
          return proses.some((prose) => pattern.test(prose)) && !exceptions.some((each) => each.test(line));
        })
        .map(({ place, line }) => `${place}: ${line.trim()}`);
      assert.deepEqual(found, []);
    });
  }

  it('no identifier contains a word that only this project used', () => {
    const found = lines
      .filter(({ place }) => /\.(?:ts|mjs|js):/.test(place))
      .flatMap(({ place, line }) =>
        identifiersOf(line).flatMap((name) => {
          const words = name.split(/(?<=[a-z0-9])(?=[A-Z])|_/).map((word) => word.toLowerCase());
          const word = words.find((each) => Object.hasOwn(identifierWords, each));
          if (word !== undefined) return [`${place}: ${name}; write for example: ${identifierWords[word]}`];
          return superlative.test(name) ? [`${place}: ${name}; write for example: max, min`] : [];
        }),
      );
    assert.deepEqual(found, []);
  });
});
