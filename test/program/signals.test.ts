// Runs in a process of its own: a stop that takes longer than the grace time makes the process exit.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { handleSignals } from '../../src/program/signals.ts';
import { captureLog } from '../helpers/captured-log.ts';

const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGTTIN', 'SIGTTOU'] as const;

it('Ctrl+C that reaches the program from the terminal and again from npm is one request to stop', async (t) => {
  const before = new Map(names.map((name) => [name, process.listeners(name)]));
  let exits = 0;
  const destination = {
    write() {},
    flush() {
      exits += 1;
      return new Promise<void>(() => {});
    },
  };
  const signals = handleSignals({ log: captureLog().log, destination, graceMs: 60_000 });
  t.after(() => {
    for (const name of names) {
      for (const each of process.listeners(name)) {
        if (!before.get(name)?.includes(each)) process.off(name, each);
      }
    }
  });
  process.emit('SIGINT', 'SIGINT');
  process.emit('SIGINT', 'SIGINT');
  await signals.stop;
  assert.equal(exits, 0);
});
