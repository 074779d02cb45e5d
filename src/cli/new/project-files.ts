/**
 * The files that one run of the generator writes: collected first, written together. So a name that is taken or a place
 * that is not found leaves the project as it was.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StartError } from '../../errors.ts';

export interface ProjectFiles {
  /** Adds a new file. Throws a StartError if the path exists. */
  add(path: string, content: string): void;
  /** Changes a file that exists. Throws a StartError if `change` returns undefined. */
  edit(path: string, change: (content: string) => string | undefined): void;
  read(path: string): string;
  exists(path: string): boolean;
  list(folder: string): string[];
  /** Writes and formats all of them. Returns their paths. */
  write(): string[];
}

export function openProjectFiles(root: string): ProjectFiles {
  const contents = new Map<string, string>();
  const read = (path: string) => contents.get(path) ?? readFileSync(join(root, path), 'utf8');
  const exists = (path: string) => contents.has(path) || existsSync(join(root, path));
  return {
    read,
    exists,
    list: (folder) => (existsSync(join(root, folder)) ? readdirSync(join(root, folder)).sort() : []),
    add(path, content) {
      if (exists(path)) throw new StartError(`${path} exists already: use another name, or remove it first.`);
      contents.set(path, content);
    },
    edit(path, change) {
      const changed = change(read(path));
      if (changed === undefined) {
        throw new StartError(`${path} does not have the place at which to add a line: add it by yourself.`);
      }
      contents.set(path, changed);
    },
    write() {
      for (const [path, content] of contents) {
        mkdirSync(dirname(join(root, path)), { recursive: true });
        writeFileSync(join(root, path), content);
      }
      const paths = [...contents.keys()].sort();
      const sources = paths.filter((path) => path.endsWith('.ts'));
      // Without a path, biome would check the whole project.
      if (sources.length === 0) return paths;
      // Twice, because biome can join some of the lines that it has just broken.
      format(root, sources);
      format(root, sources);
      return paths;
    },
  };
}

/** Formats the files as `npm run check` wants them, and sorts their imports. */
function format(root: string, paths: readonly string[]): void {
  const biome = join(root, 'node_modules', '.bin', 'biome');
  const { status, stderr } = spawnSync(biome, ['check', '--write', '--error-on-warnings', ...paths], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status !== 0) throw new StartError(`The new files are written, but biome rejects them:\n${stderr}`);
}

/** Inserts `line` among the lines that match `pattern`, in alphabetical order. Undefined if none matches. */
export function insertSorted(text: string, pattern: RegExp, line: string): string | undefined {
  const lines = text.split('\n');
  const places = lines.flatMap((each, index) => (pattern.test(each) ? [index] : []));
  const last = places.at(-1);
  if (last === undefined) return undefined;
  lines.splice(places.find((index) => (lines[index] ?? '') > line) ?? last + 1, 0, line);
  return lines.join('\n');
}

/** Inserts text before the first occurrence of `mark`. Undefined if there is none. */
export function insertBefore(text: string, mark: string, added: string): string | undefined {
  const index = text.indexOf(mark);
  return index < 0 ? undefined : text.slice(0, index) + added + text.slice(index);
}
