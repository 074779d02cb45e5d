/** Node's test reporter inside a test process: hands each result to the runner, with its failure as text. */

import { findSourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { sendEvent } from './channel.ts';
import { endOfFile, fileState, filesAreSuites } from './file-state.ts';
import type { TestFailure } from './test-event.ts';

/** The part of the events of `node:test` that is read here. The same in Node 20, 24 and 26. */
interface Event {
  readonly type: string;
  readonly data: {
    readonly name: string;
    readonly nesting: number;
    readonly file?: string;
    readonly line?: number;
    readonly column?: number;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: {
      readonly duration_ms: number;
      readonly type?: string;
      readonly error?: Error & { readonly failureType?: string };
    };
    readonly message?: string;
  };
}

const root = `${fileURLToPath(new URL('../..', import.meta.url))}`;
/** How many of the enclosing suites are none of the file's own. */
const outer = filesAreSuites ? 1 : 0;
/** Node 20 reports tests that a name pattern leaves out as skipped; newer ones do not report them. */
const leftOut = 'test name does not match pattern';

export default async function* report(events: AsyncIterable<Event>): AsyncGenerator<string> {
  // Tests start when they come out of the queue, and are reported in the order in which they are written.
  const running: string[] = [];
  const names: string[] = [];
  for await (const { type, data } of events) {
    if (type === 'test:dequeue') {
      running.length = data.nesting;
      running[data.nesting] = data.name;
      if (data.name !== endOfFile) sendEvent({ kind: 'started', name: running.slice(outer).join(' > ') });
    } else if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    } else if (type === 'test:pass' || type === 'test:fail') {
      const path = [...names.slice(outer, data.nesting), data.name];
      const failure = type === 'test:fail' ? failureOf(data) : undefined;
      if (type === 'test:fail') fileState.failed += 1;
      if (data.nesting === 0 && data.name === endOfFile) fileState.reported();
      else if (data.nesting < outer) {
        if (failure !== undefined) fileState.problems.push(`${failure.place}\n${failure.text}`);
      } else if (data.skip !== leftOut) {
        sendEvent({
          kind: data.details?.type === 'suite' ? 'suite' : 'test',
          path,
          outcome: outcomeOf(type, data),
          ms: data.details?.duration_ms ?? 0,
          ...(failure === undefined ? {} : { failure }),
        });
      }
    } else if (type === 'test:diagnostic' && data.message?.includes('asynchronous activity')) {
      fileState.problems.push(data.message);
    }
  }
  yield '';
}

function outcomeOf(type: string, { skip, todo }: Event['data']) {
  if (skip !== undefined && skip !== false) return 'skipped';
  if (todo !== undefined && todo !== false) return 'todo';
  return type === 'test:pass' ? 'passed' : 'failed';
}

function failureOf(data: Event['data']): TestFailure | undefined {
  const error = data.details?.error;
  if (error === undefined || error.failureType === 'subtestsFailed') return undefined;
  const cause = error.cause ?? error;
  const text = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 });
  return {
    place: placeIn(text, data.file) ?? placeOf(data),
    text: text
      .split('\n')
      .filter((line) => !/^\s+at .*(?:node:internal|\(node:|at node:)/.test(line))
      .join('\n'),
  };
}

/** Finds the innermost line of the test file in a stack. */
function placeIn(text: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const own = relative(root, file.startsWith('file:') ? fileURLToPath(file) : file);
  for (const [, place = ''] of text.matchAll(/^\s+at .*?((?:file:\/\/)?\/[^()\s]+:\d+:\d+)\)?$/gm)) {
    const found = relative(root, place.startsWith('file:') ? fileURLToPath(place) : place);
    if (found.startsWith(`${own}:`)) return found;
  }
  return undefined;
}

function placeOf({ file, line = 1, column = 1 }: Event['data']): string {
  if (file === undefined) return 'a test';
  const path = file.startsWith('file:') ? fileURLToPath(file) : file;
  // Node 20 counts the lines of the compiled text.
  const source = process.version.startsWith('v20.')
    ? findSourceMap(file)?.findEntry(line - 1, column - 1)
    : undefined;
  const found =
    source !== undefined && 'originalLine' in source && 'originalColumn' in source
      ? [Number(source.originalLine) + 1, Number(source.originalColumn) + 1]
      : [line, column];
  return [relative(root, path), ...found].join(':');
}
