/** Finds the test files, and what they need, by their names and their import lines. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface FoundFile {
  /** Relative to the project, such as `test/http/router.test.ts`. */
  readonly path: string;
  /** Runs in a process of its own. */
  readonly isAlone: boolean;
  /** Needs a database of the run's PostgreSQL. */
  readonly needsDatabase: boolean;
  /** Starts processes, such as the built program, or threads. */
  readonly startsProcesses: boolean;
  readonly isBrowser: boolean;
}

const starters = ['node:child_process', 'node:worker_threads', 'test/helpers/thread-pool.ts'];

/** The line with which a file asks for a process of its own. */
const aloneMark = /^(?:\/\/| \*) Runs in a process of its own: \S/m;
const importPattern = /^(?:import|export)\b(?! type)(?:[^;'"]*?from)? '([^']+)'|\bimport\('([^']+)'\)/gm;

export function findTestFiles(root: string): FoundFile[] {
  const read = readTexts(root);
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((file) => join('test', file))
    .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'))
    .sort()
    .map((path) => {
      const reached = reachedFrom(path, read);
      return {
        path,
        isAlone: aloneMark.test(read(path) ?? ''),
        needsDatabase: reached.has('test/helpers/test-database.ts'),
        startsProcesses: starters.some((module) => reached.has(module)),
        isBrowser: path.endsWith('.browser.test.ts'),
      };
    });
}

/** Returns the modules that a file reaches through files in `test/`, as most tests of a module in `src/` replace its processes. */
function reachedFrom(path: string, read: (path: string) => string | undefined): Set<string> {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    if (!file.startsWith('test/')) return;
    for (const [, static_, dynamic] of (read(file) ?? '').matchAll(importPattern)) {
      const specifier = static_ ?? dynamic ?? '';
      visit(specifier.startsWith('.') ? join(dirname(file), specifier) : specifier);
    }
  };
  visit(path);
  return reached;
}

function readTexts(root: string): (path: string) => string | undefined {
  const texts = new Map<string, string | undefined>();
  return (path) => {
    if (!texts.has(path)) texts.set(path, path.endsWith('s') ? tryRead(join(root, path)) : undefined);
    return texts.get(path);
  };
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
