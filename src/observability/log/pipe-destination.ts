/**
 * Log lines to a pipe, as standard output is in a container and before a `|`. The primary, its workers and the process of
 * the jobs share it, and what each writes must not be torn by the others. POSIX (`write`, PIPE_BUF) promises that for as
 * much as 4,096 bytes in one write, and for nothing longer. No line is longer (`bound-line.ts`), and whole lines are put
 * together up to that.
 *
 *     line ──> gathered, up to 4,096 bytes or 20 ms ──> written at once
 *                                                        └─ the pipe is full: waits, and is tried again after 1 ms, 2 ms, ... 32 ms
 *
 * The pipe is opened a second time, without blocking, which the others and their descriptors do not notice: a write takes
 * no thread and waits for no reader. What waits is bounded; what comes then is dropped.
 */

import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { LogDestination } from '../logger.ts';
import { fits, gatherLines } from './gather-lines.ts';

export interface PipeOptions {
  /** Lines wait for so many milliseconds at most to be written together. */
  readonly gatherMs: number;
  /** The most bytes that wait for a slow reader. */
  readonly maxWaiting: number;
  /** How long `flush` waits for a reader that has stopped reading, in milliseconds. */
  readonly flushDeadlineMs: number;
}

/** PIPE_BUF of Linux (pipe(7)): as much of one write is never torn by other writers, also where a pipe is one page. */
export const atomicBytes = 4096;
/** A reader that keeps up has emptied the pipe by then; one that has stopped is not asked often. */
const firstRetryMs = 1;
const maxRetryMs = 32;
const flushPollMs = 5;

/** The pipe behind a descriptor, for `createPipeDestination`; undefined if it is none, or the system cannot open it again. */
export function openPipe(descriptor: number): number | undefined {
  try {
    if (!fstatSync(descriptor).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

export function createPipeDestination(pipe: number, options: PipeOptions): LogDestination {
  const { gatherMs, maxWaiting, flushDeadlineMs } = options;
  const gathered = gatherLines({ bytes: atomicBytes, ms: gatherMs, take });
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let retryMs = firstRetryMs;
  let retryTimer: NodeJS.Timeout | undefined;
  let isBroken = false;

  function take(lines: Uint8Array): void {
    waiting.push(Buffer.from(lines));
    waitingBytes += lines.length;
    if (retryTimer === undefined) send();
  }

  function send(): void {
    retryTimer = undefined;
    const before = waitingBytes;
    let sent = 0;
    for (const part of waiting) {
      const written = tryToWrite(part);
      waitingBytes -= written;
      if (written < part.length) {
        waiting[sent] = part.subarray(written);
        break;
      }
      sent += 1;
    }
    waiting = isBroken ? [] : waiting.slice(sent);
    if (waitingBytes < before) retryMs = firstRetryMs;
    if (waiting.length === 0) return;
    retryTimer = setTimeout(send, retryMs);
    retryMs = Math.min(2 * retryMs, maxRetryMs);
  }

  /** The bytes that the pipe has taken: all, or none, of what is written atomically. */
  function tryToWrite(part: Uint8Array): number {
    try {
      return writeSync(pipe, part);
    } catch (error) {
      // Nobody will ever read it (EPIPE). That must not end a server that still answers.
      isBroken = !(error instanceof Error && 'code' in error && error.code === 'EAGAIN');
      return 0;
    }
  }

  return {
    write(line) {
      if (!isBroken && fits(line, maxWaiting - waitingBytes - gathered.length)) gathered.add(line);
    },
    async flush() {
      gathered.pass();
      const deadline = performance.now() + flushDeadlineMs;
      while (waiting.length > 0 && performance.now() < deadline) await delay(flushPollMs);
    },
  };
}
