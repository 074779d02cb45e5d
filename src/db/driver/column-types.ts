/**
 * How PostgreSQL's types become JavaScript values, where the driver's own choice is not ours.
 *
 * - `bigint` is a number. Identities and counts stay below 2^53; a column that may exceed it must be cast to text
 *   in its query.
 * - `bytea` is a Buffer, in whichever of its two forms (`bytea_output`) the server writes it.
 * - Arrays of the types below go both ways: `any(${ids})` takes a plain array. The driver would learn array types
 *   by asking the server on each new connection; a connection that breaks just then never recovers, and their
 *   numbers are fixed, so they are named here and it does not ask.
 */

const int8 = { to: 20, from: [20], parse: Number, serialize: String };

const bytea = {
  to: 17,
  from: [17],
  parse: parseBytea,
  // The driver gives text that it has made before once more when it repeats a statement.
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

/** A one-dimensional array type by the number PostgreSQL has for it, and the conversion of one element. */
function arrayType(oid: number, parse: (text: string) => unknown, serialize: (value: unknown) => string) {
  return {
    to: oid,
    from: [oid],
    parse: (text: string): unknown[] => parseArray(text).map((item) => (item === null ? null : parse(item))),
    // The driver gives text that it has made before once more when it repeats a statement.
    serialize: (values: readonly unknown[] | string): string =>
      typeof values === 'string'
        ? values
        : `{${values.map((value) => (value === null ? 'null' : quoteElement(serialize(value)))).join(',')}}`,
  };
}

/** Reads `\x6869`, or `hi`, in which `\\` stands for a backslash and `\ooo` for a byte in octal digits. */
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
