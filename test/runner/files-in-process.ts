/**
 * The main module of a test process. It runs the test files that the runner names, one after the other: each is imported
 * into a suite of its own, so that the hooks at the top of a file are hooks of that suite.
 *
 * At the end of a file the process must be as it was: nothing open that would keep it running, and the same environment
 * variables, listeners and globals. A file that cannot keep to this has a line
 * `// Runs in a process of its own: <reason>`.
 */

import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { receiveFiles, sendEvent } from './channel.ts';
import { endOfFile, fileState, filesAreSuites } from './file-state.ts';
import { processorMs } from './processor-time.ts';

/** How long a connection or a timer may stay open after the last test: idle connections of clients close by then. */
const settleMs = Number(process.env.STRATA_TEST_SETTLE_MS ?? 10_000);

/** Errors that no test caught. Node gives them to the test that caused them, if that still runs. */
const uncaught: string[] = [];
process.on('uncaughtExceptionMonitor', (error) => void uncaught.push(inspect(error)));
process.on('unhandledRejection', (error) => void uncaught.push(inspect(error)));

// Lets node:test add its listeners before the first file is compared with what was before.
await untilReported(() => test(endOfFile, () => {}));
receiveFiles((file) => void run(file));

async function run(file: string): Promise<void> {
  const before = stateOf();
  const processorMsBefore = processorMs();
  const problems: string[] = [];
  Object.assign(fileState, { number: fileState.number + 1, problems, failed: 0 });
  uncaught.length = 0;
  let loaded = Promise.resolve();
  await untilReported(() => {
    const load = async () => {
      await import(pathToFileURL(file).href);
    };
    if (filesAreSuites) describe(file, load);
    else loaded = load();
    void loaded.then(
      () => test(endOfFile, () => {}),
      (error) => {
        problems.push(inspect(error));
        test(endOfFile, () => {});
      },
    );
  });
  // Without a suite, the hooks at the top of the file run when the process exits.
  const open = filesAreSuites ? await stillOpen(before.open) : [];
  if (open.length > 0) problems.push(`The file left open: ${open.join(', ')}. Close it in the tests.`);
  // Node sets the exit code for a failed test, and for an error that belongs to no running test.
  if (fileState.failed === 0 && process.exitCode !== undefined && process.exitCode !== 0) {
    problems.push(`An error outside the tests:\n${uncaught.join('\n')}`);
  }
  process.exitCode = undefined;
  for (const [what, now] of Object.entries(stateOf().shared)) {
    const then = before.shared[what] ?? '';
    if (now !== then) problems.push(`The file changes ${what}: ${difference(then, now)}.`);
  }
  sendEvent({ kind: 'end', problems, processorMs: processorMs() - processorMsBefore });
}

function untilReported(register: () => void): Promise<void> {
  return new Promise((resolve) => {
    fileState.reported = resolve;
    register();
  });
}

interface State {
  readonly open: readonly string[];
  /** Everything of the process that the next file would see, as text. */
  readonly shared: Readonly<Record<string, string>>;
}

function stateOf(): State {
  return {
    open: process.getActiveResourcesInfo(),
    shared: {
      'environment variables': Object.entries(process.env)
        .map(([name, value]) => `${name}=${value}`)
        .sort()
        .join('\n'),
      'the working directory': process.cwd(),
      'listeners of the process': process
        .eventNames()
        .map((name) => `${process.listenerCount(name)} ${String(name)}`)
        .sort()
        .join('\n'),
      globals: Object.getOwnPropertyNames(globalThis)
        .filter((name) => !name.startsWith('__zod_'))
        .sort()
        .join('\n'),
    },
  };
}

/** Waits for what a file has opened to close, and returns the kinds of what does not. */
async function stillOpen(before: readonly string[]): Promise<string[]> {
  for (const end = performance.now() + settleMs; ; ) {
    const open = surplus(process.getActiveResourcesInfo(), before);
    if (open.length === 0 || performance.now() > end) return open;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function surplus(now: readonly string[], before: readonly string[]): string[] {
  const left = [...before];
  return now.filter((kind) => {
    const at = left.indexOf(kind);
    if (at === -1) return true;
    left.splice(at, 1);
    return false;
  });
}

function difference(then: string, now: string): string {
  const [a, b] = [then.split('\n'), now.split('\n')];
  const lines = [
    ...a.filter((line) => !b.includes(line)).map((line) => `no longer ${line}`),
    ...b.filter((line) => !a.includes(line)).map((line) => `now ${line}`),
  ];
  return lines.join(', ');
}
