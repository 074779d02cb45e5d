/** The messages of a test process to the runner, one JSON line each, in the order of the events. */
export type TestEvent = { readonly kind: 'started'; readonly name: string } | TestResult | FileEnd;

export interface TestResult {
  readonly kind: 'test' | 'suite';
  /** The names of the enclosing suites and of the test. */
  readonly path: readonly string[];
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'todo';
  readonly ms: number;
  /** Set for a failure, except that of a suite whose tests failed. */
  readonly failure?: TestFailure;
}

export interface TestFailure {
  /** `file:line:column` of the line that failed, or else of the test. The file is relative to the project. */
  readonly place: string;
  readonly text: string;
}

export interface FileEnd {
  readonly kind: 'end';
  /** The processor time of the file, with that of the processes that it has started, in milliseconds. */
  readonly processorMs: number;
  /** The remains of the file in the process, such as an open server, or an error outside its tests. */
  readonly problems: readonly string[];
}
