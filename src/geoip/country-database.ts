/**
 * A file of countries by address, opened once: read, checked as a whole (`database-check.ts`), and handed to the optional
 * package `maxmind`, which walks its tree. The package decodes nothing: its cache contains the country of every record.
 */

import { readFile, stat } from 'node:fs/promises';
import { needsPackage, reasonOf, StartError, systemErrorCode } from '../errors.ts';
import { type CheckedDatabase, checkDatabase, DatabaseInvalid } from './database-check.ts';

export interface CountryDatabase {
  /** The kind of database in its own words, such as `GeoLite2-Country`. */
  readonly type: string;
  readonly builtAt: Date;
  readonly bytes: number;
  /** Returns the ISO 3166-1 alpha-2 code of the country of an IP address; undefined if the database knows none. */
  find(address: string): string | undefined;
}

/** The largest file that is read. Databases of countries have 4 to 10 MB, those of cities up to 150. */
const maxBytes = 536_870_912;

/**
 * Rejects with a DatabaseInvalid if the file is not a usable database; its message continues "The file …". Rejects with a
 * StartError if the package is missing.
 */
export async function openCountryDatabase(path: string): Promise<CountryDatabase> {
  const maxmind = await loadMaxmind();
  const bytes = await readDatabase(path);
  const checked = await checkDatabase(bytes);
  return createCountryDatabase(bytes, checked, maxmind);
}

type Maxmind = typeof import('maxmind');

async function loadMaxmind(): Promise<Maxmind> {
  try {
    return await import('maxmind');
  } catch (cause) {
    throw new StartError(
      `SECURITY_ENABLE_GEO_BLOCKING ${needsPackage('maxmind', cause)}, or set it to false.`,
      { cause },
    );
  }
}

function createCountryDatabase(
  bytes: Buffer,
  { type, builtAt, ipVersion, countries }: CheckedDatabase,
  { Reader }: Maxmind,
): CountryDatabase {
  // The form in which the package caches a decoded record: its value, and the position after it, which no lookup reads.
  const records = new Map(
    Array.from(countries, ([position, country]) => [position, cursorOf(country)] as const),
  );
  const cache = { get: (position: string | number) => records.get(Number(position)), set: () => undefined };
  const reader = createReader();

  function createReader() {
    try {
      return new Reader<Response>(bytes, { cache });
    } catch (cause) {
      throw new DatabaseInvalid(`is damaged: ${reasonOf(cause)}`, { cause });
    }
  }

  return {
    ...{ type, builtAt, bytes: bytes.length },
    find(address) {
      // The package would walk the tree of IPv4 addresses along the first bits of the IPv6 address.
      if (ipVersion === 4 && address.includes(':')) return undefined;
      const country: unknown = reader.get(address);
      return typeof country === 'string' ? country : undefined;
    },
  };
}

type Response = import('maxmind').Response;

const cursors = new Map<
  string | undefined,
  { readonly value: string | undefined; readonly offset: number }
>();

/** Returns one object per country, however many records it has. */
function cursorOf(value: string | undefined) {
  const known = cursors.get(value) ?? { value, offset: 0 };
  cursors.set(value, known);
  return known;
}

async function readDatabase(path: string): Promise<Buffer> {
  try {
    // Opening a pipe without a writer would wait forever.
    const stats = await stat(path);
    if (!stats.isFile()) throw new DatabaseInvalid('is not a regular file');
    if (stats.size > maxBytes) throw new DatabaseInvalid(`is larger than ${maxBytes} bytes`);
    return await readFile(path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === undefined) throw cause;
    throw new DatabaseInvalid(code === 'ENOENT' ? 'does not exist' : `cannot be read: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
