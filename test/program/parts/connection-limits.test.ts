import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectionLimits, readFileLimit } from '../../../src/program/parts/connection-limits.ts';
import { loadSettings } from '../../../src/settings/load.ts';

function limitsOf(files: number, env: Readonly<Record<string, string>> = {}) {
  const { settings } = loadSettings({ env: { APP_DATABASE_POOL_SIZE: '10', ...env }, envFile: null });
  return connectionLimits(settings, files);
}

describe('connectionLimits', () => {
  for (const [files, max, maxPerAddress, maxManagement] of [
    [32, 1, 1, 16],
    [64, 16, 4, 16],
    [256, 160, 40, 22],
    [1024, 832, 208, 118],
    [20_000, 10_000, 2_500, 256],
    [Number.POSITIVE_INFINITY, 10_000, 2_500, 256],
  ] as const) {
    it(`with ${files} files the limits are ${max} connections, ${maxPerAddress} per address, and ${maxManagement} for management`, () => {
      const limits = limitsOf(files);
      assert.deepEqual(
        [limits.max, limits.maxPerAddress, limits.maxManagement],
        [max, maxPerAddress, maxManagement],
      );
      assert.equal(limits.warning === undefined, max === 10_000);
    });
  }

  it('the settings apply if the system allows more', () => {
    const limits = limitsOf(20_000, { APP_MAX_CONNECTIONS: '50', APP_MAX_CONNECTIONS_PER_ADDRESS: '7' });
    assert.deepEqual([limits.max, limits.maxPerAddress, limits.warning], [50, 7, undefined]);
  });

  it('the limit per address never exceeds the limit of all', () => {
    assert.equal(limitsOf(256, { APP_MAX_CONNECTIONS_PER_ADDRESS: '5000' }).maxPerAddress, 160);
  });

  it('a limit below the settings comes with a warning that names the required ulimit', () => {
    assert.match(
      limitsOf(1024).warning ?? '',
      /allows 1024 open files, so at most 832 .*ulimit -n\) to 10330/,
    );
  });
});

it('readFileLimit returns a positive number', () => {
  assert.ok(readFileLimit() > 0);
});
