/**
 * Splits the text of an SQL file into its statements, so that each can be sent on its own and the one that fails can
 * be named with its line. A semicolon ends a statement unless it stands in
 *
 *     'text'  E'te\'xt'  "name"  $$ body $$  $tag$ body $tag$  -- comment  /* comment /* nested *\/ *\/
 *     create function … begin atomic …; …; end
 *
 * It knows words and quotes and no grammar. PostgreSQL, chapter 4.1, "Lexical Structure".
 */

export interface Statement {
  /** Without the comments before it, and without its semicolon. */
  readonly text: string;
  /** The line of its first character, counted from 1. */
  readonly line: number;
}

/** One token at a time; what none of them begins is a single character. The order matters: E'' before a word. */
const tokens = [
  /(?<blank>\s+|--[^\n]*)/,
  /(?<block>\/\*)/,
  /(?<escaped>[eE]'(?:[^'\\]|\\.|'')*(?:'|$))/s,
  /(?<quoted>'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$))/,
  /(?<dollar>\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$)/u,
  /(?<word>[\p{L}_][\p{L}\p{N}_$]*)/u,
  /(?<number>[0-9][\p{L}\p{N}_.]*)/u,
  /(?<end>;)/,
  /(?<other>.)/s,
];
const token = new RegExp(tokens.map(({ source }) => source).join('|'), 'suy');

/** Splits `sql`. What is only space and comments is no statement. An unclosed quote reaches to the end. */
export function splitStatements(sql: string): Statement[] {
  const statements: Statement[] = [];
  let start: number | undefined; // Where the current statement begins, once something of it has been seen.
  let bodyDepth = 0; // How many `begin atomic`, `case` and so on are open.
  let words: string[] = []; // The words of the current statement so far.

  const finish = (end: number) => {
    if (start !== undefined) {
      const line = sql.slice(0, start).split('\n').length;
      statements.push({ text: sql.slice(start, end).trimEnd(), line });
    }
    start = undefined;
    bodyDepth = 0;
    words = [];
  };

  token.lastIndex = 0;
  for (let match = token.exec(sql); match !== null; match = token.exec(sql)) {
    const { blank, block, dollar, word, end } = match.groups ?? {};
    if (blank !== undefined) continue;
    if (block !== undefined) {
      token.lastIndex = endOfComment(sql, match.index);
      continue;
    }
    if (end !== undefined && bodyDepth === 0) {
      finish(match.index);
      continue;
    }
    start ??= match.index;
    if (dollar !== undefined) {
      const close = sql.indexOf(dollar, token.lastIndex);
      token.lastIndex = close < 0 ? sql.length : close + dollar.length;
    }
    if (word !== undefined) {
      words.push(word.toLowerCase());
      bodyDepth += depthChange(words, bodyDepth);
    }
  }
  finish(sql.length);
  return statements;
}

/** The index behind a comment that begins at `index`. Such comments nest in SQL. */
function endOfComment(sql: string, index: number): number {
  let depth = 0;
  const edge = /\/\*|\*\//g;
  edge.lastIndex = index;
  for (let match = edge.exec(sql); match !== null; match = edge.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return edge.lastIndex;
  }
  return sql.length;
}

/** The body of a function written in SQL holds statements of its own, between `begin atomic` and its `end`. */
function depthChange(words: readonly string[], depth: number): number {
  const [first, second, third, fourth] = words;
  const kind = second === 'or' && third === 'replace' ? fourth : second;
  if (first !== 'create' || (kind !== 'function' && kind !== 'procedure')) return 0;
  const last = words.at(-1);
  if (depth === 0) return last === 'atomic' && words.at(-2) === 'begin' ? 1 : 0;
  if (last === 'case' || last === 'begin') return 1;
  return last === 'end' ? -1 : 0;
}
