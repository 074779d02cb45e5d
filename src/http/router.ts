/**
 * The router: finds the value that is registered for a method and a decoded path.
 *
 * A pattern is a path whose segments are static text, `:name` (one segment, not empty) or, as the last segment,
 * `*name` (the rest of the path: one or more segments, slashes included):
 *
 *     /users/:id          matches  /users/7            not  /users, /users/, /users/7/keys
 *     /users/me           matches  /users/me           before /users/:id, in any order of registration
 *     /assets/*path       matches  /assets/a/b.css     not  /assets, /assets/
 *
 * Static text takes precedence over a parameter, and a parameter over a wildcard, segment by segment from the left. If a
 * choice has no match for this method, the next one is tried. Matching is case-sensitive, and a path is never normalised: `.`
 * and `..` are ordinary segments, and an empty segment matches no parameter. The path is decoded; target.ts has rejected
 * encoded slashes.
 *
 * The data structure is a tree of segments with a hash map in each node, and a flat map of the patterns without parameters. So
 * the cost of a match depends on the number of segments of the path, not on the number of routes.
 */

export interface Entry<T> {
  readonly method: string;
  readonly path: string;
  readonly value: T;
}

export type Params = Readonly<Record<string, string>>;

export type Match<T> =
  | { readonly kind: 'found'; readonly value: T; readonly params: Params }
  /** The path exists for other methods; `allow` is the value of the Allow header. */
  | { readonly kind: 'wrong-method'; readonly allow: string }
  /** The path exists without its trailing slash. */
  | { readonly kind: 'trailing-slash' }
  | { readonly kind: 'unknown' };

export interface Router<T> {
  /** Never throws. HEAD matches the route of GET unless the path has a route for HEAD. */
  match(method: string, path: string): Match<T>;
}

interface Leaf<T> {
  readonly value: T;
  readonly names: readonly string[];
  /** The match of a pattern without parameters, created once. */
  readonly fixed: Match<T>;
}

type Leaves<T> = Map<string, Leaf<T>>;

interface Node<T> {
  readonly statics: Map<string, Node<T>>;
  param: Node<T> | undefined;
  leaves: Leaves<T> | undefined;
  wildcard: Leaves<T> | undefined;
}

const noParams: Params = Object.freeze({});
const unknown = { kind: 'unknown' } as const;
const trailingSlash = { kind: 'trailing-slash' } as const;

/** Creates a router. Throws an Error for a malformed pattern and for two entries that match the same requests. */
export function createRouter<T>(entries: readonly Entry<T>[]): Router<T> {
  const root = newNode<T>();
  const fixedPaths = new Map<string, Leaves<T>>();

  for (const entry of entries) {
    const segments = parsePattern(entry.path);
    const names = segments.filter((each) => each.kind !== 'static').map((each) => each.text);
    const params = noParams;
    const leaf: Leaf<T> = { value: entry.value, names, fixed: { kind: 'found', value: entry.value, params } };
    const leaves = leavesOf(root, segments);
    if (leaves.has(entry.method)) {
      throw new Error(`Two routes match the same: ${entry.method} ${entry.path}.`);
    }
    leaves.set(entry.method, leaf);
    if (names.length === 0) fixedPaths.set(entry.path, leaves);
  }

  function find(method: string, path: string): Match<T> | undefined {
    const fixed = fixedPaths.get(path)?.get(method);
    if (fixed !== undefined) return fixed.fixed;
    const values: string[] = [];
    const leaf = walk(root, path, 1, method, values);
    return leaf && { kind: 'found', value: leaf.value, params: paramsOf(leaf.names, values) };
  }

  return {
    match(method, path) {
      const found = find(method, path) ?? (method === 'HEAD' ? find('GET', path) : undefined);
      if (found !== undefined) return found;
      const allow = new Set<string>();
      collectMethods(root, path, 1, allow);
      if (allow.size > 0) return { kind: 'wrong-method', allow: allowHeader(allow) };
      if (path.length > 1 && path.endsWith('/')) {
        collectMethods(root, path.slice(0, -1), 1, allow);
        if (allow.size > 0) return trailingSlash;
      }
      return unknown;
    },
  };
}

/** Returns the value of Allow: GET implies HEAD, and OPTIONS is always allowed. */
function allowHeader(methods: Set<string>): string {
  if (methods.has('GET')) methods.add('HEAD');
  methods.add('OPTIONS');
  return [...methods].sort().join(', ');
}

interface Segment {
  readonly kind: 'static' | 'param' | 'wildcard';
  readonly text: string;
}

/** Names of properties of every object. */
const forbiddenNames = new Set(Object.getOwnPropertyNames(Object.prototype));

/** Parses a pattern. Throws an Error that names the pattern and the reason. */
export function parsePattern(pattern: string): Segment[] {
  const invalid = (why: string) => new Error(`The route pattern "${pattern}" ${why}.`);
  if (!pattern.startsWith('/')) throw invalid('does not start with "/"');
  const texts = pattern.slice(1).split('/');
  const names = new Set<string>();
  return texts.map((text, index) => {
    if (text === '' && texts.length > 1) throw invalid('has an empty segment or a trailing slash');
    if (!text.startsWith(':') && !text.startsWith('*')) return { kind: 'static', text };
    const name = text.slice(1);
    if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(name) || forbiddenNames.has(name))
      throw invalid(`has the bad name "${name}"`);
    if (names.has(name)) throw invalid(`has the name "${name}" twice`);
    names.add(name);
    if (text.startsWith(':')) return { kind: 'param', text: name };
    if (index !== texts.length - 1) throw invalid('has a wildcard that is not its last segment');
    return { kind: 'wildcard', text: name };
  });
}

function newNode<T>(): Node<T> {
  return { statics: new Map(), param: undefined, leaves: undefined, wildcard: undefined };
}

/** Follows a pattern down the tree, creates missing nodes, and returns the leaves at its end. */
function leavesOf<T>(root: Node<T>, segments: readonly Segment[]): Leaves<T> {
  let node = root;
  for (const segment of segments) {
    if (segment.kind === 'wildcard') {
      node.wildcard ??= new Map();
      return node.wildcard;
    }
    if (segment.kind === 'param') {
      node.param ??= newNode();
      node = node.param;
    } else {
      const child: Node<T> = node.statics.get(segment.text) ?? newNode();
      node.statics.set(segment.text, child);
      node = child;
    }
  }
  node.leaves ??= new Map();
  return node.leaves;
}

/**
 * Finds the leaf for `method` below `node`. The next segment starts at `from`; `values` collects the parameters. The tree is
 * as deep as the longest pattern, so a long path cannot make the recursion deep.
 */
function walk<T>(
  node: Node<T>,
  path: string,
  from: number,
  method: string,
  values: string[],
): Leaf<T> | undefined {
  const slash = path.indexOf('/', from);
  const last = slash < 0;
  const segment = last ? path.slice(from) : path.slice(from, slash);

  const child = node.statics.get(segment);
  if (child !== undefined) {
    const leaf = last ? child.leaves?.get(method) : walk(child, path, slash + 1, method, values);
    if (leaf !== undefined) return leaf;
  }
  if (node.param !== undefined && segment !== '') {
    values.push(segment);
    const leaf = last ? node.param.leaves?.get(method) : walk(node.param, path, slash + 1, method, values);
    if (leaf !== undefined) return leaf;
    values.pop();
  }
  const leaf = node.wildcard?.get(method);
  if (leaf === undefined || segment === '') return undefined;
  values.push(path.slice(from));
  return leaf;
}

/** Adds every method that is registered for `path`. Called only if the request has no match. */
function collectMethods<T>(node: Node<T>, path: string, from: number, methods: Set<string>): void {
  const slash = path.indexOf('/', from);
  const last = slash < 0;
  const segment = last ? path.slice(from) : path.slice(from, slash);
  const add = (leaves: Leaves<T> | undefined) => {
    for (const method of leaves?.keys() ?? []) methods.add(method);
  };
  for (const child of [node.statics.get(segment), segment === '' ? undefined : node.param]) {
    if (child === undefined) continue;
    if (last) add(child.leaves);
    else collectMethods(child, path, slash + 1, methods);
  }
  if (segment !== '') add(node.wildcard);
}

function paramsOf(names: readonly string[], values: readonly string[]): Params {
  const params: Record<string, string> = {};
  names.forEach((name, index) => {
    params[name] = values[index] ?? '';
  });
  return params;
}
