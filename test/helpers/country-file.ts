/** A record of a database: texts, and maps of them. */
export type RecordValue = string | { readonly [key: string]: RecordValue };

export interface CountryFileOptions {
  /** The records by their IPv4 prefix, as bits: `11` is 192.0.0.0/2. No prefix contains another. */
  readonly records: Readonly<Record<string, RecordValue>>;
  /** The bytes of the data section, instead of those of the records. All prefixes then point to its start. */
  readonly data?: Buffer;
  /** Fields of the metadata that differ. */
  readonly metadata?: Readonly<Record<string, Buffer>>;
}

type TreeNode = [left: TreeNode | number | undefined, right: TreeNode | number | undefined];

/** Builds a small database in the format MaxMind DB, with IPv4 addresses and records of 24 bits. */
export function buildCountryFile({ records, data, metadata }: CountryFileOptions): Buffer {
  const parts: Buffer[] = [];
  const root: TreeNode = [undefined, undefined];
  let offset = 0;
  for (const [prefix, value] of Object.entries(records)) {
    insert(root, prefix, data === undefined ? offset : 0);
    const encoded = encodeValue(value);
    parts.push(encoded);
    offset += encoded.length;
  }
  const nodes = [root];
  for (const node of nodes) for (const child of node) if (Array.isArray(child)) nodes.push(child);
  const tree = Buffer.alloc(nodes.length * 6);
  nodes.forEach((node, index) => {
    node.forEach((child, side) => {
      tree.writeUIntBE(recordOf(child, nodes), index * 6 + side * 3, 3);
    });
  });
  const fields = {
    binary_format_major_version: encodeUint16(2),
    build_epoch: encodeUint64(1_750_000_000),
    database_type: encodeValue('Test-Country'),
    ip_version: encodeUint16(4),
    node_count: encodeUint32(nodes.length),
    record_size: encodeUint16(24),
    ...metadata,
  };
  const entries = Object.entries(fields).flatMap(([key, value]) => [encodeValue(key), value]);
  return Buffer.concat([
    ...[tree, Buffer.alloc(16), data ?? Buffer.concat(parts)],
    ...[Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), control(7, Object.keys(fields).length), ...entries],
  ]);
}

function insert(root: TreeNode, prefix: string, offset: number): void {
  let node = root;
  for (const [depth, bit] of [...prefix].entries()) {
    const side = bit === '1' ? 1 : 0;
    if (depth === prefix.length - 1) node[side] = offset;
    else {
      const child = node[side];
      const next: TreeNode = Array.isArray(child) ? child : [undefined, undefined];
      node[side] = next;
      node = next;
    }
  }
}

function recordOf(child: TreeNode | number | undefined, nodes: readonly TreeNode[]): number {
  if (child === undefined) return nodes.length;
  return Array.isArray(child) ? nodes.indexOf(child) : nodes.length + 16 + child;
}

/** Returns the control byte of a value with a size below 29. */
export function control(type: number, size: number): Buffer {
  return type < 8 ? Buffer.from([(type << 5) | size]) : Buffer.from([size, type - 7]);
}

export function encodeValue(value: RecordValue): Buffer {
  if (typeof value === 'string') return Buffer.concat([control(2, value.length), Buffer.from(value)]);
  const entries = Object.entries(value);
  return Buffer.concat([
    control(7, entries.length),
    ...entries.flatMap(([key, each]) => [encodeValue(key), encodeValue(each)]),
  ]);
}

export function encodeUint16(value: number): Buffer {
  return Buffer.concat([control(5, 2), Buffer.from([value >> 8, value & 255])]);
}

export function encodeUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return Buffer.concat([control(6, 4), bytes]);
}

function encodeUint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return Buffer.concat([control(9, 8), bytes]);
}
