/**
 * Cuts SQL text into its statements, so that one which fails can be named, and so that a file without a transaction can be
 * run statement by statement. A semicolon ends a statement only outside of quotes ('…', E'…', "…"), dollar quotes
 * ($$…$$, $tag$…$tag$) and comments (-- and nested slash-star). The body of a function must stand in dollar quotes:
 * the newer form BEGIN ATOMIC … END is not understood.
 */

export interface Statement {
  readonly text: string;
  /** The line of its first character, counted from 1 in the text that was cut. */
  readonly line: number;
}

/** What may start at a position: each pattern takes one whole token. */
const tokens = [
  /--[^\n]*/y,
  /[eE]'(?:[^'\\]|''|\\[\s\S])*(?:'|$)/y,
  /'(?:[^']|'')*(?:'|$)/y,
  /"(?:[^"]|"")*(?:"|$)/y,
  /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\1\$|$)/y,
  // A word is taken whole: the $ in a$b starts no quote.
  /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y,
];

/** The statements of a text, without their semicolons; comments between them belong to none. */
export function splitStatements(sql: string): Statement[] {
  const statements: Statement[] = [];
  let from = 0;
  let at = 0;
  const cut = (end: number) => {
    const piece = sql.slice(from, end);
    const start = from + lengthOfBlanks(piece);
    const text = sql.slice(start, end).trim();
    if (text !== '') statements.push({ text, line: sql.slice(0, start).split('\n').length });
  };
  while (at < sql.length) {
    if (sql[at] === ';') {
      cut(at);
      at += 1;
      from = at;
    } else {
      at = endOfToken(sql, at);
    }
  }
  cut(sql.length);
  return statements;
}

function endOfToken(sql: string, at: number): number {
  if (sql.startsWith('/*', at)) return endOfComment(sql, at);
  for (const token of tokens) {
    token.lastIndex = at;
    if (token.test(sql)) return token.lastIndex;
  }
  return at + 1;
}

/** Comments of this form nest in PostgreSQL. */
function endOfComment(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length; at += 1) {
    if (sql.startsWith('/*', at)) {
      depth += 1;
      at += 1;
    } else if (sql.startsWith('*/', at)) {
      depth -= 1;
      at += 1;
      if (depth === 0) return at + 1;
    }
  }
  return sql.length;
}

/** How much of the text is white space and comments before the first word. */
function lengthOfBlanks(text: string): number {
  let at = 0;
  for (;;) {
    const rest = text.slice(at);
    const blank =
      /^(?:\s+|--[^\n]*)/.exec(rest)?.[0].length ?? (rest.startsWith('/*') ? endOfComment(rest, 0) : 0);
    if (blank === 0) return at;
    at += blank;
  }
}
