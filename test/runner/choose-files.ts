/** Chooses the test files that a command asks for, and their order. */

import type { FoundFile } from './test-files.ts';

export interface Choice {
  readonly root: string;
  /** Parts of paths; a file is chosen by any of them. Without words, all are chosen. */
  readonly words: readonly string[];
  readonly isQuick: boolean;
}

export interface Chosen {
  readonly files: readonly FoundFile[];
  /** A sentence for each word that chooses nothing. */
  readonly complaints: readonly string[];
}

export function chooseFiles(found: readonly FoundFile[], { root, words, isQuick }: Choice): Chosen {
  const parts = words.map((word) => word.replace(`${root}/`, '').replace(/^\.\//, ''));
  const candidates = found
    .filter((file) => !isQuick || isQuickFile(file))
    .filter((file) => !file.isBrowser || parts.includes('browser'));
  const complaints = parts
    .filter((part) => !candidates.some(({ path }) => path.includes(part)))
    .map((part) => `No ${isQuick ? 'quick ' : ''}test file matches "${part}".`);
  const files = candidates.filter(
    ({ path }) => parts.length === 0 || parts.some((part) => path.includes(part)),
  );
  return { files, complaints };
}

/** A quick file needs no database, no browser and no other process. */
function isQuickFile({ needsDatabase, startsProcesses, isBrowser }: FoundFile): boolean {
  return !needsDatabase && !startsProcesses && !isBrowser;
}

/**
 * Puts the longest files first, so that none of them runs alone at the end. A file that has not run yet counts as long if it
 * starts processes. A `seed` gives a random order instead, the same one for the same seed.
 */
export function orderFiles(
  files: readonly FoundFile[],
  options: { readonly durations: Readonly<Record<string, number>>; readonly seed: string | undefined },
): FoundFile[] {
  if (options.seed !== undefined) {
    const random = createRandom(Number(options.seed));
    return files
      .map((file) => ({ file, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ file }) => file);
  }
  const lengthOf = ({ path, startsProcesses, needsDatabase }: FoundFile) =>
    options.durations[path] ?? (startsProcesses ? 20_000 : needsDatabase ? 3_000 : 500);
  return [...files].sort((a, b) => lengthOf(b) - lengthOf(a));
}

/** A generator of numbers from 0 to 1 (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
