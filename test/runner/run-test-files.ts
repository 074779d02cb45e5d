/**
 * Runs test files in a few processes, the longest first. A process takes the next file when it has finished one, so that
 * Node, the packages and the sources load once per process and not once per file; a file that cannot share its process gets
 * its own.
 */

import type { TestResult } from './test-event.ts';
import { startTestProcess, type TestProcess } from './test-process.ts';

export interface TestFile {
  /** Absolute. */
  readonly file: string;
  /** Runs in a process of its own. */
  readonly isAlone: boolean;
}

export interface FileResult {
  readonly file: string;
  readonly ms: number;
  /** With that of the processes that it has started. Undefined if the process of the file was stopped. */
  readonly processorMs: number | undefined;
  readonly results: readonly TestResult[];
  /** Failures outside the tests: the file crashed, hung, or left something behind. */
  readonly problems: readonly string[];
  readonly output: string;
}

export interface RunTestFilesOptions {
  readonly processes: number;
  /** Per file. */
  readonly timeoutMs: number;
  readonly namePatterns: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly onResult: (file: string, result: TestResult) => void;
  readonly onFile: (result: FileResult) => void;
}

/** Runs the files in the given order. Returns problems that belong to no file. */
export async function runTestFiles(
  files: readonly TestFile[],
  options: RunTestFilesOptions,
): Promise<string[]> {
  const queue = [...files];
  const problems: string[] = [];
  const started = new Set<TestProcess>();
  const start = () => {
    const process = startTestProcess(options);
    started.add(process);
    return process;
  };
  const finish = async (process: TestProcess) => {
    const problem = process.isUsable ? await process.finish() : undefined;
    started.delete(process);
    if (problem !== undefined && !options.signal.aborted) problems.push(problem);
  };
  const stop = () => {
    queue.length = 0;
    for (const process of started) process.kill();
  };
  options.signal.addEventListener('abort', stop);
  if (options.signal.aborted) stop();

  async function work(): Promise<void> {
    let shared: TestProcess | undefined;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (next.isAlone || options.namePatterns.length > 0) {
        const process = start();
        await runFile(process, next.file, options);
        await finish(process);
        continue;
      }
      if (shared?.isUsable !== true) shared = start();
      await runFile(shared, next.file, options);
    }
    if (shared !== undefined) await finish(shared);
  }
  await Promise.all(Array.from({ length: Math.min(options.processes, files.length) }, work));
  options.signal.removeEventListener('abort', stop);
  return problems;
}

async function runFile(process: TestProcess, file: string, options: RunTestFilesOptions): Promise<void> {
  const startedAt = performance.now();
  const results: TestResult[] = [];
  const { problems, processorMs, output } = await process.run(file, {
    timeoutMs: options.timeoutMs,
    onEvent: (event) => {
      if (event.kind !== 'test' && event.kind !== 'suite') return;
      results.push(event);
      options.onResult(file, event);
    },
  });
  if (options.signal.aborted) return;
  options.onFile({ file, ms: performance.now() - startedAt, processorMs, results, problems, output });
}
