import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { countryCodes } from '../../src/geoip/country-codes.ts';
import { openCountryDatabase } from '../../src/geoip/country-database.ts';
import { DatabaseInvalid } from '../../src/geoip/database-check.ts';
import {
  buildCountryFile,
  control,
  encodeUint16,
  encodeUint32,
  encodeValue,
} from '../helpers/country-file.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { propertyRuns } from '../helpers/property-runs.ts';
import { sourceArguments } from '../helpers/source-arguments.ts';

const packageFolder = dirname(
  createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/package.json'),
);
const realFile = (name: string) => join(packageFolder, `geo-whois-asn-country${name}.mmdb`);

async function openBytes(t: TestContext, bytes: Buffer) {
  const path = join(await mustMakeFolder(t), 'countries.mmdb');
  await writeFile(path, bytes);
  return openCountryDatabase(path);
}

const isInvalid = (reason: RegExp) => (error: unknown) =>
  error instanceof DatabaseInvalid && reason.test(error.message);

const records = {
  '00001010': { country: { iso_code: 'DE' }, registered_country: { iso_code: 'FR' } },
  '00001011': { country_code: 'us' },
  '000011': { country_code: 'ZZ' },
  '11': { city: 'Nowhere' },
};

describe('a database of countries', () => {
  it('a database with IPv4 and IPv6 addresses gives the countries of both', async () => {
    const database = await openCountryDatabase(realFile(''));
    assert.equal(database.find('8.8.8.8'), 'US');
    assert.equal(database.find('194.97.1.1'), 'DE');
    assert.equal(database.find('2001:4860:4860::8888'), 'US');
    assert.equal(database.find('240.0.0.1'), undefined);
    assert.match(database.type, /country/);
    assert.equal(database.builtAt.toISOString().slice(0, 10), '2026-06-17');
  });

  it('a database with IPv4 addresses only knows no IPv6 address', async () => {
    const database = await openCountryDatabase(realFile('-ipv4'));
    assert.equal(database.find('8.8.8.8'), 'US');
    assert.equal(database.find('2001:4860:4860::8888'), undefined);
  });

  it('a country is read from country.iso_code and from country_code, in any case', async (t) => {
    const database = await openBytes(t, buildCountryFile({ records }));
    assert.equal(database.find('10.1.2.3'), 'DE');
    assert.equal(database.find('11.1.2.3'), 'US');
    assert.equal(database.type, 'Test-Country');
    assert.equal(database.builtAt.getTime(), 1_750_000_000_000);
  });

  it('a record without a country, or with one that does not exist, gives none', async (t) => {
    const database = await openBytes(t, buildCountryFile({ records }));
    assert.equal(database.find('12.1.2.3'), undefined);
    assert.equal(database.find('200.1.2.3'), undefined);
    assert.equal(database.find('100.1.2.3'), undefined);
  });
});

it('the codes of countries are those of ISO 3166-1 alpha-2 and XK, and each has a name', () => {
  assert.equal(countryCodes.size, 250);
  const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
  assert.deepEqual(
    [...countryCodes].filter((code) => names.of(code) === undefined),
    [],
  );
});

describe('a file that is not a usable database', () => {
  const valid = buildCountryFile({ records });
  const endless = Buffer.concat([control(7, 1), encodeValue('a'), Buffer.from([0x20, 0x00])]);
  // 16 million elements, each of which has as many.
  const nestedArrays = Buffer.concat(
    Array.from({ length: 500 }, () => Buffer.from([0x1f, 0x04, 0xff, 0xff, 0xff])),
  );
  // Each of 20 maps points twice to the next one: a million values in 200 bytes.
  const doubling = Buffer.concat([
    ...Array.from({ length: 20 }, (_, level) => {
      const next = Buffer.from([0x20, (level + 1) * 9]);
      return Buffer.concat([control(7, 2), encodeValue('a'), next, encodeValue('b'), next]);
    }),
    encodeValue(''),
  ]);
  const table: readonly (readonly [what: string, bytes: Buffer, reason: RegExp])[] = [
    ['an empty file', Buffer.alloc(0), /^is empty$/],
    ['a text', Buffer.from('# Countries\n'.repeat(1000)), /^is truncated, or not a MaxMind database/],
    ['a compressed database', gzipSync(valid), /^is compressed with gzip: unpack it first$/],
    [
      'a database without countries',
      buildCountryFile({ records: { 1: { asn: 'AS1' } } }),
      /^has no countries, .*"Test-Country"/,
    ],
    [
      'a map that contains itself',
      buildCountryFile({ records, data: endless }),
      /^has a record without an end$/,
    ],
    [
      'nested arrays of 16 million elements',
      buildCountryFile({ records, data: nestedArrays }),
      /^has a record without an end$/,
    ],
    [
      'maps with a million values',
      buildCountryFile({ records, data: doubling }),
      /^has a record without an end$/,
    ],
    [
      'a text longer than the file',
      buildCountryFile({ records, data: Buffer.from([0x5f, 0xff, 0xff, 0xff]) }),
      /^is truncated or damaged/,
    ],
    [
      'a pointer to the end of the address space',
      buildCountryFile({ records, data: Buffer.from([0x38, 0xff, 0xff, 0xff, 0xff]) }),
      /^is truncated or damaged/,
    ],
    [
      'a map whose key is a map',
      buildCountryFile({ records, data: Buffer.from([0xe1, 0xe0, 0xe0]) }),
      /^is truncated or damaged/,
    ],
    [
      'four billion nodes',
      buildCountryFile({ records, metadata: { node_count: encodeUint32(0xffffffff) } }),
      /^is truncated or damaged: its search tree/,
    ],
    [
      'no nodes',
      buildCountryFile({ records, metadata: { node_count: encodeUint32(0) } }),
      /^has an empty search tree$/,
    ],
    [
      'fewer nodes than it has',
      buildCountryFile({ records, metadata: { node_count: encodeUint32(1) } }),
      /^(?:is|has) /,
    ],
    [
      'records of 30 bits',
      buildCountryFile({ records, metadata: { record_size: encodeUint16(30) } }),
      /^has an invalid record size/,
    ],
    [
      'IP version 5',
      buildCountryFile({ records, metadata: { ip_version: encodeUint16(5) } }),
      /^has an invalid IP version/,
    ],
    [
      'format version 3',
      buildCountryFile({ records, metadata: { binary_format_major_version: encodeUint16(3) } }),
      /^has no metadata of format version 2$/,
    ],
    [
      'metadata of nested arrays',
      buildCountryFile({ records, metadata: { languages: nestedArrays } }),
      /^has a record without an end$/,
    ],
    [
      'a part of a marker in the metadata',
      buildCountryFile({
        records,
        metadata: { description: Buffer.concat([control(2, 12), Buffer.from('\xefMaxMind.com', 'latin1')]) },
      }),
      /^has ambiguous metadata$/,
    ],
  ];
  it('a search tree that points outside of the file is rejected with a sentence', async (t) => {
    const bytes = Buffer.from(valid);
    bytes.writeUIntBE(0xffffff, 3, 3);
    await assert.rejects(
      openBytes(t, bytes),
      isInvalid(/^is damaged: its search tree points outside of its data$/),
    );
  });
  for (const [what, bytes, reason] of table) {
    it(`${what} is rejected with a sentence`, async (t) => {
      await assert.rejects(openBytes(t, bytes), isInvalid(reason));
    });
  }

  it('a missing file, a folder and a named pipe are rejected with a sentence', async (t) => {
    const folder = await mustMakeFolder(t);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await assert.rejects(openCountryDatabase(join(folder, 'none.mmdb')), isInvalid(/^does not exist$/));
    await assert.rejects(openCountryDatabase(folder), isInvalid(/^is not a regular file$/));
    await assert.rejects(openCountryDatabase(pipe), isInvalid(/^is not a regular file$/));
  });

  it('a database that is truncated at any length is rejected with a sentence', async (t) => {
    const path = join(await mustMakeFolder(t), 'countries.mmdb');
    for (let length = 0; length < valid.length; length += 1) {
      await writeFile(path, valid.subarray(0, length));
      await assert.rejects(openCountryDatabase(path), DatabaseInvalid, `at ${length} bytes`);
    }
    const real = await readFile(realFile('-ipv4'));
    for (const length of [1, 100_000, real.length >> 1, real.length - 200, real.length - 1]) {
      await writeFile(path, real.subarray(0, length));
      await assert.rejects(openCountryDatabase(path), DatabaseInvalid, `at ${length} bytes`);
    }
  });

  it('a database with zeroed metadata is rejected with a sentence', async (t) => {
    const real = await readFile(realFile('-ipv4'));
    const at = real.lastIndexOf('MaxMind.com') + 11;
    await assert.rejects(openBytes(t, Buffer.from(real).fill(0, at)), DatabaseInvalid);
    await assert.rejects(openBytes(t, Buffer.from(real).fill(0, at - 14)), DatabaseInvalid);
  });
});

describe('a database with random damage', () => {
  /** Opens the damaged bytes: a rejection must be a sentence, and otherwise every lookup must give a country or none. */
  async function assertHarmless(path: string, bytes: Buffer): Promise<void> {
    await writeFile(path, bytes);
    const database = await openCountryDatabase(path).catch((error: unknown) => {
      assert.ok(error instanceof DatabaseInvalid, String(error));
      return undefined;
    });
    for (let first = 0; database !== undefined && first < 256; first += 1) {
      const country = database.find(`${first}.1.2.3`);
      assert.ok(country === undefined || countryCodes.has(country));
    }
  }

  it('a small database with changed bytes is rejected with a sentence, or gives countries', async (t) => {
    const path = join(await mustMakeFolder(t), 'countries.mmdb');
    const valid = buildCountryFile({ records });
    const changes = fc.array(
      fc.tuple(
        fc.nat(valid.length - 1),
        fc.oneof(fc.nat(255), fc.constantFrom(0x1f, 0x3f, 0xff, 0x20, 0xe0)),
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const bytes = Buffer.from(valid);
        for (const [at, byte] of list) bytes[at] = byte;
        await assertHarmless(path, bytes);
      }),
      { numRuns: propertyRuns(5_000) },
    );
  });

  it('a real database with changed bytes at its end is rejected with a sentence, or gives countries', async (t) => {
    const path = join(await mustMakeFolder(t), 'countries.mmdb');
    const valid = await readFile(realFile('-ipv4'));
    // The data and the metadata are the last two kilobytes.
    const change = fc.tuple(fc.oneof(fc.nat(2_000), fc.nat(valid.length - 1)), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (list) => {
        const bytes = Buffer.from(valid);
        for (const [fromEnd, byte] of list) bytes[bytes.length - 1 - fromEnd] = byte;
        await assertHarmless(path, bytes);
      }),
      { numRuns: propertyRuns(100) },
    );
  });
});

it('without maxmind, opening a database rejects with the npm install command', async (t) => {
  const folder = await mustMakeFolder(t);
  cpSync(join(import.meta.dirname, '..', '..', 'src'), join(folder, 'src'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = join(folder, 'open.mjs');
  writeFileSync(
    program,
    `import { openCountryDatabase } from './src/geoip/country-database.ts';
     openCountryDatabase('x.mmdb').catch((error) => console.log(error.name, error.message));`,
  );
  const argv = [...sourceArguments(folder), program];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { cwd: folder, encoding: 'utf8' });
  const sentence =
    'StartError SECURITY_ENABLE_GEO_BLOCKING needs the package maxmind: run `npm install maxmind`, or set it to false.\n';
  assert.equal(stdout, sentence, stderr);
});
