import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createPipeDestination, openPipe } from '../../../src/observability/log/pipe-destination.ts';
import { mustMakeFolder } from '../../helpers/program.ts';

const line = `${'x'.repeat(4095)}\n`;
/** The capacity of a pipe on Linux (pipe(7)). */
const capacity = 65_536;

/** A pipe with a destination at one end; `read` empties it at the other. The clock is mocked. */
async function mustConnect(t: TestContext) {
  const file = join(await mustMakeFolder(t), 'pipe');
  execFileSync('mkfifo', [file]);
  const reader = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(file, constants.O_WRONLY);
  const pipe = openPipe(writer);
  assert.ok(pipe !== undefined);
  t.after(() => [reader, writer, pipe].forEach(closeSync));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const destination = createPipeDestination(pipe, {
    ...{ gatherMs: 20, maxWaiting: 16 * capacity, flushDeadlineMs: 2000 },
  });
  const buffer = Buffer.alloc(2 * capacity);
  const read = () => {
    try {
      return readSync(reader, buffer);
    } catch {
      return 0; // EAGAIN: it is empty.
    }
  };
  return { destination, read, pass: (ms: number) => t.mock.timers.tick(ms) };
}

describe('a pipe destination', () => {
  it('a full pipe is filled again one millisecond after its reader has emptied it', async (t) => {
    const { destination, read, pass } = await mustConnect(t);
    for (let bytes = 0; bytes < 8 * capacity; bytes += line.length) destination.write(line);
    for (let time = 0; time < 8; time += 1) {
      assert.equal(read(), capacity, `after ${time} ms`);
      pass(1);
    }
    assert.equal(read(), 0);
  });

  it('while the pipe is full, retries are delayed increasingly, up to 32 ms', async (t) => {
    const { destination, read, pass } = await mustConnect(t);
    for (let bytes = 0; bytes < 3 * capacity; bytes += line.length) destination.write(line);
    pass(1000);
    assert.equal(read(), capacity);
    pass(32);
    assert.equal(read(), capacity);
  });

  it('lines beyond the limit of waiting bytes are dropped', async (t) => {
    const { destination, read, pass } = await mustConnect(t);
    for (let bytes = 0; bytes < 20 * capacity; bytes += line.length) destination.write(line);
    let taken = 0;
    for (let got = read(); got > 0; got = read()) {
      taken += got;
      pass(32);
    }
    assert.equal(taken, 17 * capacity, 'what the pipe holds, and what may wait');
  });
});
