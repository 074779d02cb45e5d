/**
 * Checks a whole database in the MaxMind DB format, version 2 (https://maxmind.github.io/MaxMind-DB/), before anything is
 * looked up in it, and reads the country of each of its records:
 *
 *     | search tree: nodes of two records each | 16 zeros | data section | marker | metadata |
 *
 * The package `maxmind` trusts its file: a small file with nested arrays makes it allocate gigabytes, and a map that points
 * to itself overflows its stack. So this check reads every byte that the package could follow, with bounds: each position is
 * inside its section, and the number and depth of the values of a record are limited, wherever its pointers lead. A loop in
 * the tree is harmless, because a lookup has at most 128 steps.
 *
 * The check of a large database takes seconds. It works in slices and lets requests run in between.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { countryCodes } from './country-codes.ts';

export interface CheckedDatabase {
  /** The kind of database in its own words, such as `GeoLite2-Country`. */
  readonly type: string;
  readonly builtAt: Date;
  /** A database of version 4 has no IPv6 addresses. */
  readonly ipVersion: 4 | 6;
  /** The country of the record at each position of the file; undefined for a record without a known country. */
  readonly countries: ReadonlyMap<number, string | undefined>;
}

/** The file is not a usable database. The message continues the sentence "The file …". */
export class DatabaseInvalid extends Error {}

const marker = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
/** The maximum size of the metadata with its marker, from the specification. */
const maxMetadataBytes = 131_072;
const separatorBytes = 16;
/** Limits of one record. The record of a city in eight languages has about 100 values and 6 levels. */
const maxValues = 2_000;
const maxDepth = 32;
/** Bounds of a file: seconds of work for the check. */
const maxTotalValues = 50_000_000;
const maxRecords = 2_000_000;
/** How long the check works before other work of the process runs, in milliseconds. */
const sliceMs = 5;
const nodesPerSlice = 4_096;
const recordsPerSlice = 16;
/** The maximum length of a decoded text. A longer text is read as an empty one, because names of fields and codes of countries are short. */
const maxText = 64;

/** Rejects with a DatabaseInvalid unless every lookup in the database is safe. */
export async function checkDatabase(bytes: Buffer): Promise<CheckedDatabase> {
  const end = findMarker(bytes);
  const metadata = readMetadata(bytes, end);
  const rest = createSlices();
  const positions = await findRecords(bytes, metadata, end, rest);
  const countries = await readCountries(
    bytes,
    { start: metadata.treeBytes + separatorBytes, end },
    positions,
    rest,
  );
  const { type, builtAt, ipVersion } = metadata;
  if (![...countries.values()].some((country) => country !== undefined)) {
    throw new DatabaseInvalid(
      `has no countries, neither as country.iso_code nor as country_code (its type is "${type}")`,
    );
  }
  return { type, builtAt, ipVersion, countries };
}

function findMarker(bytes: Buffer): number {
  if (bytes.length === 0) throw new DatabaseInvalid('is empty');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    throw new DatabaseInvalid('is compressed with gzip: unpack it first');
  }
  const at = bytes.lastIndexOf(marker);
  if (at < 0 || bytes.length - at > maxMetadataBytes) {
    throw new DatabaseInvalid('is truncated, or not a MaxMind database: it has no metadata at its end');
  }
  // The package misses a marker that is followed by a part of another one.
  if (bytes.indexOf(marker.subarray(2), at + marker.length) >= 0) {
    throw new DatabaseInvalid('has ambiguous metadata');
  }
  return at;
}

interface TreeShape {
  readonly type: string;
  readonly builtAt: Date;
  readonly ipVersion: 4 | 6;
  readonly nodeCount: number;
  /** The size of one record in bits: 24, 28 or 32. */
  readonly recordSize: number;
  readonly treeBytes: number;
}

function readMetadata(bytes: Buffer, end: number): TreeShape {
  const start = end + marker.length;
  const decoder = new BoundedDecoder(bytes, { start, end: bytes.length });
  const fields = decoder.read(start);
  if (!(fields instanceof Map)) throw new DatabaseInvalid('has invalid metadata');
  const field = (name: string): unknown => fields.get(name);
  const version = field('binary_format_major_version');
  const [nodeCount, recordSize, ipVersion] = [field('node_count'), field('record_size'), field('ip_version')];
  const [type, builtAt] = [field('database_type'), field('build_epoch')];
  if (version !== 2) throw new DatabaseInvalid('has no metadata of format version 2');
  if (recordSize !== 24 && recordSize !== 28 && recordSize !== 32) {
    throw new DatabaseInvalid('has an invalid record size in its metadata');
  }
  if (ipVersion !== 4 && ipVersion !== 6)
    throw new DatabaseInvalid('has an invalid IP version in its metadata');
  if (typeof nodeCount !== 'number' || nodeCount === 0) throw new DatabaseInvalid('has an empty search tree');
  const treeBytes = nodeCount * (recordSize / 4);
  if (treeBytes + separatorBytes > end) {
    throw new DatabaseInvalid('is truncated or damaged: its search tree is larger than the file');
  }
  return {
    type: typeof type === 'string' ? type : '',
    builtAt: new Date(typeof builtAt === 'number' ? Math.min(builtAt, maxEpoch) * 1000 : 0),
    ...{ ipVersion, nodeCount, recordSize, treeBytes },
  };
}

/** The last second of a Date. */
const maxEpoch = 8_640_000_000_000;

type Slices = () => Promise<void> | undefined;

/** Returns a function that lets other work of the process run if the current slice is over. */
function createSlices(): Slices {
  let startedAt = performance.now();
  return () => {
    if (performance.now() - startedAt < sliceMs) return undefined;
    return nextTurn().then(() => {
      startedAt = performance.now();
    });
  };
}

/** Returns the positions in the file of all records of the tree. */
async function findRecords(
  bytes: Buffer,
  { nodeCount, recordSize, treeBytes }: TreeShape,
  dataEnd: number,
  rest: Slices,
): Promise<ReadonlySet<number>> {
  const positions = new Set<number>();
  const dataStart = treeBytes + separatorBytes;
  const accept = (record: number) => {
    if (record <= nodeCount) return;
    const position = record - nodeCount + treeBytes;
    if (position < dataStart || position >= dataEnd) {
      throw new DatabaseInvalid('is damaged: its search tree points outside of its data');
    }
    positions.add(position);
  };
  const nodeBytes = recordSize / 4;
  for (let node = 0; node < nodeCount; node += 1) {
    const at = node * nodeBytes;
    if (recordSize === 24) {
      accept(bytes.readUIntBE(at, 3));
      accept(bytes.readUIntBE(at + 3, 3));
    } else if (recordSize === 28) {
      const middle = bytes.readUInt8(at + 3);
      accept(bytes.readUIntBE(at, 3) + (middle >> 4) * 0x1000000);
      accept(bytes.readUIntBE(at + 4, 3) + (middle & 0x0f) * 0x1000000);
    } else {
      accept(bytes.readUInt32BE(at));
      accept(bytes.readUInt32BE(at + 4));
    }
    if (positions.size > maxRecords) throw new DatabaseInvalid(`has more than ${maxRecords} records`);
    if (node % nodesPerSlice === 0) await rest();
  }
  return positions;
}

async function readCountries(
  bytes: Buffer,
  section: Section,
  positions: ReadonlySet<number>,
  rest: Slices,
): Promise<ReadonlyMap<number, string | undefined>> {
  const decoder = new BoundedDecoder(bytes, section);
  const countries = new Map<number, string | undefined>();
  let count = 0;
  for (const position of positions) {
    countries.set(position, countryOf(decoder.read(position)));
    if (decoder.totalValues > maxTotalValues) throw new DatabaseInvalid('has too much data');
    count += 1;
    if (count % recordsPerSlice === 0) await rest();
  }
  return countries;
}

/** Returns the country of a record, nested as in the databases of MaxMind, or flat as in those of others. */
function countryOf(record: Value): string | undefined {
  if (!(record instanceof Map)) return undefined;
  const country = record.get('country');
  const code = country instanceof Map ? country.get('iso_code') : record.get('country_code');
  if (typeof code !== 'string') return undefined;
  const upper = code.toUpperCase();
  return countryCodes.has(upper) ? upper : undefined;
}

/** A decoded value; undefined for those that the check does not need. */
type Value = string | number | Map<string, Value> | undefined;

/** A part of the file: the position of its first byte, and the one after its last. Pointers count from its start. */
interface Section {
  readonly start: number;
  readonly end: number;
}

/** The types of values, by their number in the format. */
const types = { extended: 0, pointer: 1, text: 2, map: 7, array: 11, boolean: 14 };
/** The valid sizes of the types with a number or bytes: the least and the greatest. */
const sizes: Readonly<Record<number, readonly [min: number, max: number]>> = {
  3: [8, 8],
  4: [0, Number.POSITIVE_INFINITY],
  5: [0, 2],
  6: [0, 4],
  8: [0, 4],
  9: [0, 8],
  10: [0, 16],
  15: [4, 4],
};
const unsigned = new Set([5, 6, 9]);
/** The offset that the format adds to a pointer of one, two, three and four bytes. */
const pointerBases = [0, 2_048, 526_336, 0];

/** Decodes the values of one section with bounds. Throws a DatabaseInvalid for everything that is not allowed. */
class BoundedDecoder {
  /** The number of values that were read so far. */
  totalValues = 0;
  readonly #bytes: Buffer;
  readonly #section: Section;
  #at = 0;
  #values = 0;

  constructor(bytes: Buffer, section: Section) {
    this.#bytes = bytes;
    this.#section = section;
  }

  /** Returns the value at a position of the file. */
  read(position: number): Value {
    this.#at = position;
    this.#values = 0;
    const value = this.#readValue(0);
    this.totalValues += this.#values;
    return value;
  }

  #readValue(depth: number): Value {
    this.#values += 1;
    if (depth > maxDepth || this.#values > maxValues)
      throw new DatabaseInvalid('has a record without an end');
    const control = this.#number(1);
    let type = control >> 5;
    if (type === types.pointer) return this.#followPointer(control, depth);
    if (type === types.extended) type = this.#number(1) + 7;
    const size = this.#readSize(control & 0x1f);
    if (type === types.map) return this.#readMap(size, depth);
    if (type === types.array) {
      for (let index = 0; index < size; index += 1) this.#readValue(depth + 1);
      return undefined;
    }
    if (type === types.boolean && size <= 1) return undefined;
    if (type === types.text) return this.#readText(size);
    const [min, max] = sizes[type] ?? [1, 0];
    if (size < min || size > max) throw damaged();
    if (unsigned.has(type)) return this.#readUnsigned(size);
    this.#skip(size);
    return undefined;
  }

  #followPointer(control: number, depth: number): Value {
    const length = (control >> 3) & 3;
    const low = this.#number(length + 1);
    const high = length === 3 ? 0 : (control & 7) * 256 ** (length + 1);
    const after = this.#at;
    this.#at = this.#section.start + (pointerBases[length] ?? 0) + high + low;
    const value = this.#readValue(depth + 1);
    this.#at = after;
    return value;
  }

  #readSize(size: number): number {
    if (size < 29) return size;
    if (size === 29) return 29 + this.#number(1);
    return size === 30 ? 285 + this.#number(2) : 65_821 + this.#number(3);
  }

  #readMap(size: number, depth: number): Value {
    const map = new Map<string, Value>();
    for (let index = 0; index < size; index += 1) {
      const key = this.#readValue(depth + 1);
      if (typeof key !== 'string') throw damaged();
      map.set(key, this.#readValue(depth + 1));
    }
    return map;
  }

  #readUnsigned(size: number): number {
    if (size === 0) return 0;
    // Node.js reads at most six bytes.
    return size <= 6 ? this.#number(size) : this.#number(size - 4) * 2 ** 32 + this.#number(4);
  }

  #readText(size: number): string {
    const start = this.#at;
    this.#skip(size);
    return size <= maxText ? this.#bytes.toString('utf8', start, this.#at) : '';
  }

  #number(size: number): number {
    const start = this.#at;
    this.#skip(size);
    return this.#bytes.readUIntBE(start, size);
  }

  #skip(size: number): void {
    const { start, end } = this.#section;
    if (this.#at < start || this.#at + size > end) throw damaged();
    this.#at += size;
  }
}

function damaged(): DatabaseInvalid {
  return new DatabaseInvalid('is truncated or damaged: a value in its data is invalid');
}
