/**
 * Splits the text of an SQL file into its statements, so that each can be sent on its own and an error can name the
 * line of the statement. A semicolon ends a statement unless it is inside of
 *
 *     'text'  E'te\'xt'  "name"  $$ body $$  $tag$ body $tag$  -- comment  /* comment /* nested *\/ *\/
 *     create function … begin atomic …; …; end
 *
 * The splitter knows tokens but no grammar. See PostgreSQL, chapter 4.1, "Lexical Structure".
 */

export interface Statement {
  /** Without the comments before it, and without its semicolon. */
  readonly text: string;
  /** The line of its first character, starting at 1. */
  readonly line: number;
}

/** The kinds of tokens; any other character is a token of its own. The order matters: E'' before a word. */
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

/** Splits `sql`. Whitespace and comments alone are no statement. An unclosed quote extends to the end. */
export function splitStatements(sql: string): Statement[] {
  const statements: Statement[] = [];
  let start: number | undefined; // The start of the current statement, once it has a token.
  let bodyDepth = 0; // The number of open blocks: `begin atomic`, `case` and so on.
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

/** Returns the index after the comment that starts at `index`. Block comments nest in SQL. */
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

/** The body of an SQL function contains statements of its own, between `begin atomic` and its `end`. */
function depthChange(words: readonly string[], depth: number): number {
  const [first, second, third, fourth] = words;
  const kind = second === 'or' && third === 'replace' ? fourth : second;
  if (first !== 'create' || (kind !== 'function' && kind !== 'procedure')) return 0;
  const last = words.at(-1);
  if (depth === 0) return last === 'atomic' && words.at(-2) === 'begin' ? 1 : 0;
  if (last === 'case' || last === 'begin') return 1;
  return last === 'end' ? -1 : 0;
}
