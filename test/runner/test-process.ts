/** A process that runs test files one after the other; see `files-in-process.ts`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { endOfFile } from './file-state.ts';
import type { TestEvent } from './test-event.ts';

/** How long a process may take to exit after its last file. */
const exitMs = 15_000;
/** How long a killed process, and what it has started, may take to clean up. */
const graceMs = 2_000;

export interface TestProcess {
  /** Runs a file. Resolves when the file has finished, or when a problem such as a crash has stopped the process. */
  run(file: string, options: RunOptions): Promise<FileEnding>;
  /** Whether it can run another file. */
  readonly isUsable: boolean;
  /** Lets the process exit by itself. Resolves with a problem if it does not. */
  finish(): Promise<string | undefined>;
  /** Ends the process and what it has started. */
  kill(): void;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly onEvent: (event: TestEvent) => void;
}

export interface FileEnding {
  readonly problems: readonly string[];
  /** Undefined if the process was stopped. */
  readonly processorMs: number | undefined;
  /** The standard output and error of the process meanwhile. */
  readonly output: string;
}

export interface TestProcessOptions {
  /** Regular expressions: only tests whose name matches one of them run. Without any, all run. */
  readonly namePatterns: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export function startTestProcess({ namePatterns, env }: TestProcessOptions): TestProcess {
  // A group of its own: what a killed process has started can be killed with it.
  const child = spawn(process.execPath, commandOf(namePatterns), {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  let onEvent: (event: TestEvent) => void = () => {};
  const channel = child.stdio[3] as Duplex;
  // It breaks when the process dies. The handler of `close` below reports how it died.
  channel.on('error', () => {});
  let rest = '';
  channel.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onEvent(JSON.parse(line));
  });
  const closed = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(`could not start: ${error.message}`));
    child.on('close', (code, signal) =>
      resolve(signal === null ? `exited with ${code}` : `died of ${signal}`),
    );
  });
  let isUsable = true;
  let hasFailed = false;
  void closed.then(() => {
    isUsable = false;
  });

  const kill = () => {
    isUsable = false;
    killGroup(child);
  };

  return {
    get isUsable() {
      return isUsable;
    },
    run(file, options) {
      output = '';
      let running = '';
      return new Promise((resolve) => {
        const end = (problems: readonly string[], processorMs?: number) => {
          clearTimeout(timer);
          onEvent = () => {};
          resolve({ problems, processorMs, output });
        };
        const timer = setTimeout(() => {
          kill();
          end([
            `The file did not end within ${Math.round(options.timeoutMs / 1000)} s${during(running)}. ` +
              'Its process was killed.',
          ]);
        }, options.timeoutMs);
        void closed.then((how) => end([`The process ${how}${during(running)}.`]));
        onEvent = (event) => {
          if (event.kind === 'end') {
            // The next file would suffer from what this one left behind.
            if (event.problems.length > 0) kill();
            return end(event.problems, event.processorMs);
          }
          if (event.kind === 'started') running = event.name;
          else if (event.outcome === 'failed') hasFailed = true;
          options.onEvent(event);
        };
        channel.write(`${file}\n`);
      });
    },
    async finish() {
      isUsable = false;
      channel.end();
      const timer = setTimeout(() => killGroup(child), exitMs);
      const how = await closed;
      clearTimeout(timer);
      const isExpected = how === 'exited with 0' || (hasFailed && how === 'exited with 1');
      return isExpected ? undefined : `A process of tests ${how} after its last file.`;
    },
    kill,
  };
}

function commandOf(namePatterns: readonly string[]): string[] {
  // Node leaves out what no pattern matches. The end of a file must run in any case.
  const patterns = namePatterns.length === 0 ? [] : [...namePatterns, `^${endOfFile}$`];
  return [
    '--enable-source-maps',
    ...['--import', join(import.meta.dirname, '../compiled-sources.mjs')],
    `--test-reporter=${import.meta.resolve('./test-reporter.ts')}`,
    ...patterns.map((pattern) => `--test-name-pattern=${pattern}`),
    join(import.meta.dirname, 'files-in-process.ts'),
  ];
}

function during(test: string): string {
  return test === '' ? '' : ` during "${test}"`;
}

/** PostgreSQL, for one, removes its shared memory on SIGTERM. */
function killGroup(child: ChildProcess): void {
  signalGroup(child, 'SIGTERM');
  setTimeout(() => signalGroup(child, 'SIGKILL'), graceMs).unref();
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has exited, with all that it had started.
  }
}
