/**
 * How values of PostgreSQL's types become JavaScript values, where the driver's default does not fit.
 *
 * - `bigint` is a number. Identities and counts stay below 2^53; a column that may exceed it must be cast to text in
 *   its query.
 * - `bytea` is a Buffer, in both output formats of the server (`bytea_output`).
 * - Arrays of the types below are converted both ways: `any(${ids})` accepts a plain array. By default the driver asks
 *   the server for the array types on each new connection, and a connection that breaks at that moment never recovers.
 *   The type numbers are fixed, so they are listed here instead.
 */

const int8 = { to: 20, from: [20], parse: Number, serialize: String };

const bytea = {
  to: 17,
  from: [17],
  parse: parseBytea,
  // When the driver repeats a statement, it passes the text of the first attempt.
  serialize: (value: Uint8Array | string): string =>
    typeof value === 'string' ? value : `\\x${Buffer.from(value).toString('hex')}`,
};

export const columnTypes = {
  int8,
  bytea,
  booleanArray: arrayType(1000, (text) => text === 't', String),
  int4Array: arrayType(1007, Number, String),
  textArray: arrayType(1009, String, String),
  int8Array: arrayType(1016, Number, String),
  timestamptzArray: arrayType(1185, (text) => new Date(text), toTimestamp),
  uuidArray: arrayType(2951, String, String),
};

/** Creates a one-dimensional array type from its OID in PostgreSQL and the conversion of one element. */
function arrayType(oid: number, parse: (text: string) => unknown, serialize: (value: unknown) => string) {
  return {
    to: oid,
    from: [oid],
    parse: (text: string): unknown[] => parseArray(text).map((item) => (item === null ? null : parse(item))),
    // When the driver repeats a statement, it passes the text of the first attempt.
    serialize: (values: readonly unknown[] | string): string =>
      typeof values === 'string'
        ? values
        : `{${values.map((value) => (value === null ? 'null' : quoteElement(serialize(value)))).join(',')}}`,
  };
}

/** Reads `\x6869`, or the escape format: `hi`, where `\\` is a backslash and `\ooo` a byte in octal digits. */
export function parseBytea(text: string): Buffer {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex');
  const bytes = text.replace(/\\(?:([0-3][0-7]{2})|(\\))/g, (_all, octal: string | undefined) =>
    octal === undefined ? '\\' : String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}

function toTimestamp(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

function quoteElement(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** Splits `{a,"b,c",NULL}`, the text form of an array of one dimension. */
export function parseArray(text: string): (string | null)[] {
  const element = /[{,](?:"((?:[^"\\]|\\.)*)"|([^",{}]+))/gs;
  return Array.from(text.matchAll(element), ([, quoted, plain]) => {
    if (quoted !== undefined) return quoted.replace(/\\(.)/gs, '$1');
    return plain === undefined || plain === 'NULL' ? null : plain;
  });
}
