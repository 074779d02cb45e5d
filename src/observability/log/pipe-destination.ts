/**
 * Writes log lines to a pipe, which standard output is in a container and before a `|`. The primary, its workers and the
 * jobs process share it, and their lines must not be interleaved. POSIX (`write`, PIPE_BUF) guarantees that only for a write
 * of at most 4,096 bytes. No line is longer (`bound-line.ts`), and complete lines are batched up to that size.
 *
 *     line ──> batch of up to 4,096 bytes or 20 ms ──> one write
 *                                                       └─ the pipe is full: retried after 1 ms, 2 ms, ... 32 ms
 *
 * The pipe is opened a second time, in non-blocking mode, which does not affect the descriptors of other processes. A write
 * needs no thread and waits for no reader. The waiting lines are bounded; further lines are dropped.
 */

import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { systemErrorCode } from '../../errors.ts';
import { type Backoff, exponentialDelay } from '../../resilience/retry.ts';
import type { LogDestination } from '../logger.ts';
import { maxLineBytes } from './bound-line.ts';
import { fits, gatherLines } from './gather-lines.ts';

export interface PipeOptions {
  /** The maximum age of a batch, in milliseconds. */
  readonly gatherMs: number;
  /** The maximum number of bytes that wait for a slow reader. */
  readonly maxWaiting: number;
  /** How long `flush` waits for a reader that has stopped reading, in milliseconds. */
  readonly flushDeadlineMs: number;
}

/** A reader that keeps up has emptied the pipe within the first delay. A reader that has stopped is retried less often. */
const retryDelays: Backoff = { baseMs: 1, maxMs: 32 };
const flushPollMs = 5;

/** Opens the pipe of a descriptor a second time. Returns undefined if it is no pipe, or cannot be opened. */
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
  const gathered = gatherLines({ bytes: maxLineBytes, ms: gatherMs, take });
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  /** Attempts since the pipe last accepted something. */
  let attempts = 0;
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
    if (waitingBytes < before) attempts = 0;
    if (waiting.length === 0) return;
    attempts += 1;
    retryTimer = setTimeout(send, exponentialDelay(attempts, retryDelays));
  }

  /** Returns the number of bytes written: all or none of an atomic write. */
  function tryToWrite(part: Uint8Array): number {
    try {
      return writeSync(pipe, part);
    } catch (error) {
      // EPIPE: the pipe has no reader any more. That must not stop the server.
      isBroken = systemErrorCode(error) !== 'EAGAIN';
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
