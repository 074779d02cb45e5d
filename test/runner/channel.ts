/** The end of the pipe to the runner inside a test process: its third descriptor. */

import { Socket } from 'node:net';
import type { TestEvent } from './test-event.ts';

const socket = new Socket({ fd: 3, readable: true, writable: true });

export function sendEvent(event: TestEvent): void {
  socket.write(`${JSON.stringify(event)}\n`);
}

/** Calls `next` with each file that the runner wants to run. The process can exit when the runner has closed the pipe. */
export function receiveFiles(next: (file: string) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) next(line);
  });
  // The runner was killed.
  socket.on('error', () => process.exit(1));
}
