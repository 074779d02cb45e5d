/**
 * Watches the files of the project. Each folder has a watcher of its own, since `fs.watch` with `recursive` loses files on
 * Linux that an editor replaces instead of writing. A change is reported once the files have been quiet for a moment,
 * because one save causes several events.
 */

import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface WatchOptions {
  /** Folders that are watched with all folders in them. */
  readonly folders: readonly string[];
  /** Single files, which need not exist. */
  readonly files: readonly string[];
  readonly onChange: () => void;
}

const quietMs = 25;

/** Starts watching. Returns a function that stops it. */
export function watchFiles({ folders, files, onChange }: WatchOptions): () => void {
  const watchers = new Map<string, FSWatcher>();
  let timer: NodeJS.Timeout | undefined;

  function report(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const folder of folders) watchTree(folder);
      onChange();
    }, quietMs);
  }

  function watchFolder(folder: string, isWanted: (name: string) => boolean): void {
    if (watchers.has(folder)) return;
    try {
      const watcher = watch(folder, (_event, name) => {
        if (name === null || isWanted(name)) report();
      });
      const forget = () => {
        watcher.close();
        watchers.delete(folder);
      };
      watcher.on('error', forget);
      watchers.set(folder, watcher);
    } catch {
      // The folder was removed before it could be watched.
    }
  }

  /** Watches new folders, and forgets removed ones. */
  function watchTree(root: string): void {
    const present = foldersOf(root);
    for (const [folder, watcher] of watchers) {
      if (!folder.startsWith(join(root, '/')) || present.includes(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of present) watchFolder(folder, () => true);
  }

  for (const folder of folders) watchTree(folder);
  for (const file of files) watchFolder(dirname(file), (name) => name === basename(file));
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

function foldersOf(root: string): string[] {
  try {
    const entries = readdirSync(root, { withFileTypes: true, recursive: true });
    return [
      root,
      ...entries.filter((each) => each.isDirectory()).map((each) => join(each.parentPath, each.name)),
    ];
  } catch {
    return [];
  }
}
