// Runs in a process of its own: the usage includes the child processes, which other files of a shared process have.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProcessorList, pinToServer } from '../../bench/pinning.ts';
import { readUsage } from '../../bench/process-usage.ts';

test('a list of processors is read as the system writes it', () => {
  assert.deepEqual(parseProcessorList('0-2,5,8-9'), [0, 1, 2, 5, 8, 9]);
  assert.deepEqual(parseProcessorList('3'), [3]);
  assert.deepEqual(parseProcessorList(''), []);
});

test('a server is started on the processor that is kept for it, or as it is where nothing is pinned', () => {
  const pinned = pinToServer(['node', 'server.mjs'], { server: 2, others: [0, 1] });
  assert.deepEqual(pinned, ['taskset', '--cpu-list', '2', 'node', 'server.mjs']);
  assert.deepEqual(pinToServer(['node', 'server.mjs'], undefined), ['node', 'server.mjs']);
});

test('the usage of a process equals what the system reports to the process itself', () => {
  const usage = readUsage(process.pid);
  const { user, system } = process.cpuUsage();
  const rss = process.memoryUsage.rss();
  assert.ok(Math.abs(usage.cpuSeconds - (user + system) / 1e6) < 0.2);
  assert.ok(Math.abs(usage.residentBytes / rss - 1) < 0.2);
});
