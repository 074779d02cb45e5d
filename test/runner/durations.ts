/** How long each test file took when it last ran on this machine, for the order of the files and the expected duration. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface Durations {
  /** In milliseconds, by the path of the file. */
  readonly files: Readonly<Record<string, number>>;
  /** Of the last complete run, by its kind, such as `all` or `quick`. */
  readonly runs: Readonly<Record<string, number>>;
}

/** Returns no durations if there are none yet, or if the file is damaged. */
export function readDurations(file: string): Durations {
  try {
    const { files, runs } = JSON.parse(readFileSync(file, 'utf8'));
    return { files: { ...files }, runs: { ...runs } };
  } catch {
    return { files: {}, runs: {} };
  }
}

export function writeDurations(file: string, { files, runs }: Durations): void {
  const before = readDurations(file);
  mkdirSync(dirname(file), { recursive: true });
  const text = JSON.stringify({ files: { ...before.files, ...files }, runs: { ...before.runs, ...runs } });
  writeFileSync(file, `${text}\n`);
}

/** Formats as `2 min 5 s`, `12 s` or `0.3 s`. */
export function formatSeconds(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
