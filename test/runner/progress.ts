/**
 * The output of `npm test`: one line of progress on a terminal, each failure when it happens and again at the end, and the
 * slowest files. The last lines have the form of Node's own reporter, which scripts read.
 */

import { relative } from 'node:path';
import { formatSeconds } from './durations.ts';
import type { FileResult } from './run-test-files.ts';
import type { TestResult } from './test-event.ts';

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  readonly root: string;
  readonly files: number;
  /** Undefined before the first complete run. */
  readonly expectedMs: number | undefined;
  /** Lists the passing tests too. */
  readonly isVerbose: boolean;
}

export interface RunProgress {
  onResult(file: string, result: TestResult): void;
  onFile(result: FileResult): void;
  /** Prints the summary. Returns whether tests ran and all passed. */
  finish(problems: readonly string[]): boolean;
}

const slowestShown = 10;
/** Off a terminal, such as in the log of a CI, progress is a line of its own now and then. */
const lineEveryMs = 10_000;

export function createProgress(output: Output, options: ProgressOptions): RunProgress {
  const isTerminal = output.isTTY === true;
  const startedAt = performance.now();
  const counts = { test: 0, suite: 0, passed: 0, failed: 0, skipped: 0, todo: 0 };
  const failures: string[] = [];
  const skippedNames: string[] = [];
  const durations: { file: string; ms: number; processorMs: number | undefined }[] = [];
  const red = (text: string) => (isTerminal ? `\x1b[31m${text}\x1b[39m` : text);
  const bold = (text: string) => (isTerminal ? `\x1b[1m${text}\x1b[22m` : text);
  let lastLineAt = startedAt;

  const print = (text: string) => {
    output.write(`${isTerminal ? '\r\x1b[K' : ''}${text}\n`);
    showProgress();
  };
  const showProgress = () => {
    const line = progressLine();
    if (isTerminal) {
      output.write(`\r\x1b[K${line.slice(0, (output.columns ?? 80) - 1)}`);
    } else if (performance.now() - lastLineAt > lineEveryMs) {
      lastLineAt = performance.now();
      output.write(`${line}\n`);
    }
  };
  const progressLine = () => {
    const expected = options.expectedMs === undefined ? '' : ` of about ${formatSeconds(options.expectedMs)}`;
    return [
      `${durations.length}/${options.files} files`,
      `${counts.test} tests`,
      counts.failed === 0 ? '0 failed' : red(`${counts.failed} failed`),
      `${formatSeconds(performance.now() - startedAt)}${expected}`,
    ].join('  ');
  };
  const fail = (place: string, name: string, text: string) => {
    const failure = `${red('✖')} ${bold(place)}  ${name}\n${indent(text)}\n`;
    failures.push(failure);
    print(failure);
  };
  const timer = isTerminal ? setInterval(showProgress, 500) : undefined;
  timer?.unref();

  return {
    onResult(_file, { kind, outcome, path, failure }) {
      counts[kind] += 1;
      if (kind === 'test') counts[outcome] += 1;
      // The tests of a skipped suite are not reported.
      else if (outcome === 'skipped') counts.skipped += 1;
      if (outcome === 'skipped') skippedNames.push(path.join(' > '));
      if (failure === undefined) return;
      // The tests of a suite are counted; a suite fails itself when its hook does, or its own code.
      if (kind === 'suite') counts.failed += 1;
      fail(failure.place, path.join(' > '), failure.text);
    },
    onFile({ file, ms, processorMs, results, problems, output: written }) {
      const path = relative(options.root, file);
      durations.push({ file: path, ms, processorMs });
      for (const problem of problems) {
        counts.failed += 1;
        fail(path, '', problem);
      }
      const hasFailed = problems.length > 0 || results.some(({ outcome }) => outcome === 'failed');
      if (hasFailed && written.trim() !== '') print(`Output of ${path}:\n${indent(written.trimEnd())}\n`);
      if (options.isVerbose) print(listing(`${path} (${timesOf(ms, processorMs)})`, results));
      else showProgress();
    },
    finish(problems) {
      clearInterval(timer);
      if (isTerminal) output.write('\r\x1b[K');
      if (failures.length > 0) output.write(`\nFailures:\n\n${failures.join('\n')}\n`);
      for (const problem of problems) output.write(`${red('✖')} ${problem}\n`);
      const slowest = durations.sort((a, b) => b.ms - a.ms).slice(0, slowestShown);
      if (options.files > slowestShown) {
        const lines = slowest.map(({ file, ms, processorMs }) => `  ${file}: ${timesOf(ms, processorMs)}`);
        output.write(`Slowest files:\n${lines.join('\n')}\n`);
      }
      const { test, suite, passed, failed, skipped, todo } = counts;
      const rows = {
        tests: test,
        suites: suite,
        pass: passed,
        fail: failed + problems.length,
        skipped,
        todo,
      };
      for (const name of skippedNames) output.write(`${marks.skipped} skipped: ${name}\n`);
      for (const [name, value] of Object.entries(rows)) output.write(`ℹ ${name} ${value}\n`);
      output.write(`ℹ duration ${formatSeconds(performance.now() - startedAt)}\n`);
      if (test === 0) output.write('No test ran.\n');
      return rows.fail === 0 && test > 0;
    },
  };
}

const marks = { passed: '✔', failed: '✖', skipped: '﹣', todo: '…' } as const;

/** The duration of a file, and its processor time if that is known. */
function timesOf(ms: number, processorMs: number | undefined): string {
  const processor = processorMs === undefined ? '' : `, processor ${formatSeconds(processorMs)}`;
  return `${formatSeconds(ms)}${processor}`;
}

function listing(title: string, results: readonly TestResult[]): string {
  const lines = results
    .filter(({ kind }) => kind === 'test')
    .map((result) => `  ${marks[result.outcome]} ${result.path.join(' > ')} (${Math.round(result.ms)} ms)`);
  return [title, ...lines].join('\n');
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ');
}
