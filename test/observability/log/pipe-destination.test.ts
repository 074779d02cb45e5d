import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createPipeDestination, openPipe } from '../../../src/observability/log/pipe-destination.ts';
import { mustMakeFolder } from '../../helpers/program.ts';

const line = `${'x'.repeat(4095)}\n`;
/** What a pipe of Linux holds (pipe(7)). */
const capacity = 65_536;

/** A pipe with a destination at one end; `read` empties it from the other. Time stands still until it is told to go on. */
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

describe('a destination that is a pipe', () => {
  it('fills it again a millisecond after its reader has emptied it, every time', async (t) => {
    const { destination, read, pass } = await mustConnect(t);
    for (let bytes = 0; bytes < 8 * capacity; bytes += line.length) destination.write(line);
    for (let time = 0; time < 8; time += 1) {
      assert.equal(read(), capacity, `after ${time} ms`);
      pass(1);
    }
    assert.equal(read(), 0);
  });

  it('leaves it alone for longer and longer while nobody reads, but for no more than 32 ms', async (t) => {
    const { destination, read, pass } = await mustConnect(t);
    for (let bytes = 0; bytes < 3 * capacity; bytes += line.length) destination.write(line);
    pass(1000);
    assert.equal(read(), capacity);
    pass(32);
    assert.equal(read(), capacity);
  });

  it('drops what comes when more waits than there is room for', async (t) => {
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
