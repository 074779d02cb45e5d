import assert from 'node:assert/strict';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { openCountryFinder } from '../../src/geoip/country-finder.ts';
import { DatabaseInvalid } from '../../src/geoip/database-check.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { buildCountryFile } from '../helpers/country-file.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustMakeFolder } from '../helpers/program.ts';

const german = buildCountryFile({ records: { '0': { country_code: 'DE' }, '10': { country_code: 'FR' } } });
const american = buildCountryFile({ records: { '0': { country: { iso_code: 'US' } } } });

async function mustOpen(t: TestContext) {
  const path = join(await mustMakeFolder(t), 'countries.mmdb');
  await writeFile(path, german);
  const captured = captureLog();
  const finder = await openCountryFinder({ path, log: captured.log, pollMs: 5 });
  t.after(() => finder.stop());
  /** Replaces the file as an updater does: a new file under its name. */
  const replace = async (bytes: Buffer) => {
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
  };
  return { path, captured, finder, replace };
}

it('an address has the country of the database, or is private, or unknown', async (t) => {
  const { finder } = await mustOpen(t);
  const table = {
    '8.8.8.8': 'DE',
    '130.1.2.3': 'FR',
    '203.0.113.7': 'unknown',
    '2001:470::1': 'unknown',
    '': 'unknown',
    '127.0.0.1': 'private',
    '10.255.0.1': 'private',
    '172.16.0.1': 'private',
    '172.32.0.1': 'FR',
    '192.168.1.1': 'private',
    '169.254.1.1': 'private',
    '100.64.0.1': 'private',
    '100.128.0.1': 'DE',
    '::1': 'private',
    'fd00::1': 'private',
    'fe80::1%eth0': 'private',
    '::ffff:10.0.0.1': 'private',
  };
  for (const [address, country] of Object.entries(table)) {
    assert.equal(finder.find(address), country, address);
    assert.equal(finder.find(address), country, `${address}, cached`);
  }
});

it('the cache of addresses is bounded, and its answers stay right when it is full', async (t) => {
  const { finder } = await mustOpen(t);
  for (let index = 0; index < 30_000; index += 1) {
    const address = `${index % 256}.${index >> 8}.0.1`;
    const first = index % 256;
    const isExempt = first === 10 || first === 127;
    if (isExempt || first === 0 || first === 100 || first >= 169) continue;
    assert.equal(finder.find(address), first < 128 ? 'DE' : 'FR');
  }
});

describe('a file that changes', () => {
  it('a file that is replaced by a valid one is used, also for addresses that were looked up before', async (t) => {
    const { finder, replace, captured } = await mustOpen(t);
    assert.equal(finder.find('8.8.8.8'), 'DE');
    await replace(american);
    await eventually('the new database is used', () => finder.find('8.8.8.8') === 'US');
    assert.equal(captured.of('geoip.database_loaded').length, 2);
  });

  it('a file that is replaced by an invalid one, or removed, is logged once, and the old one stays in use', async (t) => {
    const { finder, replace, captured, path } = await mustOpen(t);
    await replace(american.subarray(0, 50));
    await eventually('the file is rejected', () => captured.of('geoip.database_rejected').length === 1);
    assert.equal(finder.find('8.8.8.8'), 'DE');
    await rm(path);
    await eventually('the gap is logged', () => captured.of('geoip.database_rejected').length === 2);
    const [truncated, missing] = captured.of('geoip.database_rejected');
    assert.match(String(truncated?.reason), /^The file is truncated/);
    assert.equal(missing?.reason, 'The file does not exist.');
    assert.equal(finder.find('9.9.9.9'), 'DE');
    await replace(american);
    await eventually('the valid file is used', () => finder.find('8.8.8.8') === 'US');
    assert.equal(captured.of('geoip.database_rejected').length, 2);
  });
});

describe('the copy of the database in use', () => {
  async function mustOpenWithCopy(t: TestContext, path: string, mayUseCopy: boolean) {
    const captured = captureLog();
    const copyPath = `${path}.copy`;
    const finder = await openCountryFinder({ path, copyPath, mayUseCopy, log: captured.log, pollMs: 5 });
    t.after(() => finder.stop());
    return { finder, captured };
  }

  it('a worker that starts while the file is invalid uses the copy of the last valid one, and then the next valid file', async (t) => {
    const path = join(await mustMakeFolder(t), 'countries.mmdb');
    await writeFile(path, german);
    const first = await mustOpenWithCopy(t, path, false);
    await writeFile(`${path}.new`, american);
    await rename(`${path}.new`, path);
    await eventually('the new file is used', () => first.finder.find('8.8.8.8') === 'US');
    // Waits for the copy.
    await first.finder.stop();
    await writeFile(path, american.subarray(0, 100));
    const later = await mustOpenWithCopy(t, path, true);
    assert.equal(later.finder.find('8.8.8.8'), 'US');
    assert.equal(later.captured.of('geoip.database_rejected').length, 1);
    await writeFile(`${path}.new`, german);
    await rename(`${path}.new`, path);
    await eventually('the valid file is used', () => later.finder.find('8.8.8.8') === 'DE');
    // Before the folder is removed, into which it copies.
    await later.finder.stop();
  });

  it('a program that starts with an invalid file fails, whether there is a copy or not', async (t) => {
    const path = join(await mustMakeFolder(t), 'countries.mmdb');
    await writeFile(path, german);
    const first = await mustOpenWithCopy(t, path, false);
    await first.finder.stop();
    await writeFile(path, german.subarray(0, 100));
    await assert.rejects(mustOpenWithCopy(t, path, false), DatabaseInvalid);
    await rm(`${path}.copy`);
    await assert.rejects(mustOpenWithCopy(t, path, true), DatabaseInvalid);
  });
});
