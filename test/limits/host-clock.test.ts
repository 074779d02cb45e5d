import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createHostClock } from '../../src/limits/host-clock.ts';
import { sourceArguments } from '../helpers/source-arguments.ts';

test('all processes of a host read the same time', () => {
  const now = createHostClock();
  const source = new URL('../../src/limits/host-clock.ts', import.meta.url).href;
  const program = `
    import { createHostClock } from ${JSON.stringify(source)};
    console.log(createHostClock()());`;
  const sentAt = now();
  const args = [...sourceArguments(), '--input-type=module', '--eval', program];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const reportedAt = Number(stdout);
  assert.equal(stderr, '');
  assert.ok(sentAt < reportedAt && reportedAt < now(), `${sentAt} < ${reportedAt}`);
});

test('two clocks created at different times differ by less than a millisecond', () => {
  const [one, other] = [createHostClock(), createHostClock()];
  assert.ok(Math.abs(other() - one()) < 1);
});
