/** The state of the running file, shared by the reporter and the main module of a test process. */

/** The name of the test that runs after the last one of a file. */
export const endOfFile = 'end of the file';

/**
 * Whether the files are suites. With a name pattern they are not: Node 24 leaves out a suite of which no test is known yet,
 * and such a process runs one file only.
 */
export const filesAreSuites = !process.execArgv.some((argument) =>
  argument.startsWith('--test-name-pattern'),
);

interface FileState {
  /** The number of the file in this process; 0 in a process without a runner. Helpers with state forget it when it changes. */
  number: number;
  problems: string[];
  failed: number;
  /** The reporter calls it at the end of a file, when it has passed on the results of all its tests. */
  reported: () => void;
}

export const fileState: FileState = { number: 0, problems: [], failed: 0, reported: () => {} };
