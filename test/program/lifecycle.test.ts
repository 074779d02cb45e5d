import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLifecycle } from '../../src/program/lifecycle.ts';
import { captureLog } from '../helpers/captured-log.ts';

/** A lifecycle, and the names of the parts closed so far. */
function makeLifecycle() {
  const captured = captureLog();
  const lifecycle = createLifecycle(captured.log);
  const closed: string[] = [];
  const open = (name: string, close: () => Promise<unknown> = async () => {}, deadlineMs = 1000) =>
    lifecycle.open(
      name,
      async () => name,
      (part) => {
        closed.push(part);
        return close();
      },
      deadlineMs,
    );
  return { lifecycle, open, closed, captured };
}

describe('opened parts', () => {
  it('open() resolves with the opened part', async () => {
    assert.equal(await makeLifecycle().open('database'), 'database');
  });

  it('parts close in reverse order, one after the other', async () => {
    const { lifecycle, open, closed } = makeLifecycle();
    let isServerClosed = false;
    await open('embedded');
    await open('database', async () => assert.ok(isServerClosed));
    await open('server', async () => {
      await new Promise((resolve) => setImmediate(resolve));
      isServerClosed = true;
    });
    await lifecycle.closeAll();
    assert.deepEqual(closed, ['server', 'database', 'embedded']);
  });

  it('closeAll() called twice closes each part once', async () => {
    const { lifecycle, open, closed } = makeLifecycle();
    await open('server');
    await Promise.all([lifecycle.closeAll(), lifecycle.closeAll()]);
    await lifecycle.closeAll();
    assert.deepEqual(closed, ['server']);
  });
});

describe('a part that does not close', () => {
  const failures: [how: string, close: () => Promise<unknown>][] = [
    ['rejects', () => Promise.reject(new Error('stuck'))],
    ['throws', () => assert.fail('stuck')],
  ];
  for (const [how, close] of failures) {
    it(`a part that ${how} is logged by its name, and the other parts still close`, async () => {
      const { lifecycle, open, closed, captured } = makeLifecycle();
      await open('database');
      await open('server', close);
      await lifecycle.closeAll();
      assert.deepEqual(closed, ['server', 'database']);
      const [line, ...more] = captured.of('application.failed');
      assert.deepEqual([line?.part, line?.step, more], ['server', 'close', []]);
      assert.match(JSON.stringify(line?.error), /stuck/);
    });
  }

  it('a part that exceeds its deadline is abandoned', async () => {
    const { lifecycle, open, closed, captured } = makeLifecycle();
    await open('database');
    await open('server', () => new Promise(() => {}), 20);
    await lifecycle.closeAll();
    assert.deepEqual(closed, ['server', 'database']);
    assert.match(captured.text(), /server did not close within 20 ms/);
  });
});

it('a part that fails to open is not closed, and open() rejects with its error', async () => {
  const { lifecycle, open, closed } = makeLifecycle();
  await open('database');
  const failing = lifecycle.open(
    'server',
    () => Promise.reject(new Error('port taken')),
    () => assert.fail(),
    1000,
  );
  await assert.rejects(failing, /port taken/);
  await lifecycle.closeAll();
  assert.deepEqual(closed, ['database']);
});
