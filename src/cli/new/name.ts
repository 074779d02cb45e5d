/** Names of generated code: which are valid, and their forms in TypeScript, SQL, paths and sentences. */

import { StartError } from '../../errors.ts';

/** `widgets`, `widget`, `Widget` and `a widget`. */
export interface ResourceName {
  /** The plural: name of the folder, the table and the path. */
  readonly many: string;
  readonly one: string;
  readonly type: string;
  /** With its article, for sentences. */
  readonly aOne: string;
}

/** The name of a feature. Throws a StartError if it is not one lower-case plural word. */
export function readResourceName(text: string): ResourceName {
  if (!/^[a-z][a-z0-9]{2,29}$/.test(text) || !text.endsWith('s') || text.endsWith('ss')) {
    throw new StartError(
      `"${text}" cannot name a feature: use one lower-case plural word such as projects, of at most 30 letters and digits.`,
    );
  }
  const one = singularOf(text);
  for (const name of [text, one]) {
    rejectReserved(name);
    rejectGlobal(name);
    if (generated.has(name)) {
      throw new StartError(`"${name}" is a name in the code of every feature: use another name.`);
    }
  }
  return {
    many: text,
    one,
    type: pascalCase(one),
    aOne: `${/^(?:[aeio]|u(?!ni|se)|ho(?:ur|nest|nor))/.test(one) ? 'an' : 'a'} ${one}`,
  };
}

function singularOf(plural: string): string {
  if (plural.endsWith('ies')) return `${plural.slice(0, -3)}y`;
  return /(?:ch|sh|x|ss|zz)es$/.test(plural) ? plural.slice(0, -2) : plural.slice(0, -1);
}

/** Throws a StartError if the text is not a name in kebab-case such as `request-size`. */
export function readKebabName(text: string, what: string): string {
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(text) || text.length > 50) {
    throw new StartError(
      `"${text}" cannot name a ${what}: use lower-case words with hyphens such as request-size.`,
    );
  }
  rejectReserved(camelCase(text));
  rejectGlobal(camelCase(text));
  return text;
}

/** Throws a StartError if the text is not a name in snake_case such as `add_color_to_projects`. */
export function readSnakeName(text: string, what: string, example: string): string {
  if (!/^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/.test(text) || text.length > 50) {
    throw new StartError(`"${text}" cannot name a ${what}: use lower-case words such as ${example}.`);
  }
  return text;
}

/** Throws a StartError for a reserved word of TypeScript or SQL. */
export function rejectReserved(name: string): void {
  if (reserved.has(name)) {
    throw new StartError(`"${name}" is a reserved word of TypeScript or SQL: use another name.`);
  }
}

/** Throws a StartError if a function or type of this name would hide a global one such as `Map`. */
function rejectGlobal(name: string): void {
  const global = [name, pascalCase(name)].find((each) => Object.hasOwn(globalThis, each));
  if (global !== undefined) {
    throw new StartError(
      `"${name}" would clash with ${global}, which JavaScript declares: use another name.`,
    );
  }
}

/** `add_color`, `add-color` and `addColor` as `addColor`. */
export function camelCase(name: string): string {
  return name.replace(/[-_]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

export function pascalCase(name: string): string {
  const camel = camelCase(name);
  return camel.charAt(0).toUpperCase() + camel.slice(1);
}

/** `due_date` as `due date`. */
export function wordsOf(name: string): string {
  return name.replace(/[-_]/g, ' ');
}

/** Names in the templates that would clash with those of a feature called like this. */
const generated = new Set(
  `
  ada api body caller change condition database date event events feature fields grace header headers id keyset log logger
  noun owner param params patch path pick prefix principal promise reply route routes scope scopes setting settings sql text
  timestamp visible
  `
    .trim()
    .split(/\s+/),
);

const reserved = new Set(
  `
  abstract any arguments as async await boolean break case catch class const constructor continue debugger declare default
  delete do else enum eval export extends false finally for from function get if implements import in infer instanceof
  interface is keyof let module namespace never new null number object of package private protected public readonly require
  return satisfies set static string super switch symbol this throw true try type typeof undefined unknown var void while
  with yield process global console
  all analyse analyze and array asc asymmetric both cast check collate collation column columns concurrently constraint
  create cross current_date current_role current_time current_timestamp current_user deferrable desc distinct end except
  fetch foreign freeze full grant group having ilike initially inner intersect into isnull join lateral leading left like
  limit localtime localtimestamp natural not notnull offset on only or order outer overlaps placing primary references
  returning right row rows select session_user similar some symmetric table tables tablesample then to trailing union unique
  user using values variadic verbose view when where window
  `
    .trim()
    .split(/\s+/),
);
