/**
 * Converts zod schemas to JSON Schema 2020-12, the dialect of OpenAPI 3.1. A schema with `.meta({ id: 'User' })` becomes a
 * component, written once and referenced by name; every other schema is written where it is used.
 *
 * One schema has two forms: a default makes a field optional in the input and certain in the output, and a transformation
 * changes its type. So each conversion names the direction that it needs, and an id may name one direction only: otherwise a
 * generated client would get a type that is wrong for half of its uses.
 */

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { reasonOf, StartError } from '../errors.ts';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** `input` is what the client sends; `output` is what the handler gets, or what a response contains. */
export type SchemaDirection = 'input' | 'output';

export interface SchemaSet {
  /**
   * Returns the schema in that direction and adds its components to the set. `use` names the place for errors. Throws a
   * StartError for a schema that has no JSON form, and for an id that names two schemas.
   */
  convert(schema: z.ZodType, direction: SchemaDirection, use: string): JsonSchema;
  /** Returns the content of `components/schemas`, sorted by name. */
  components(): Record<string, JsonSchema>;
}

const refPrefix = '#/components/schemas/';

/** A conversion takes a millisecond or more, and applications in one process (in tests) share their schemas. */
const converted = {
  input: new WeakMap<z.ZodType, JsonSchema>(),
  output: new WeakMap<z.ZodType, JsonSchema>(),
};

export function createSchemaSet(): SchemaSet {
  const components = new Map<string, JsonSchema>();

  return {
    convert(schema, direction, use) {
      const whole = converted[direction].get(schema) ?? toJsonSchema(schema, direction, use);
      converted[direction].set(schema, whole);
      const { $schema, $defs = {}, ...root } = whole;
      for (const [id, component] of Object.entries($defs)) {
        const known = components.get(id);
        if (known !== undefined && !isDeepStrictEqual(known, component)) {
          throw repeatedId(id, use);
        }
        components.set(id, component);
      }
      return root;
    },
    components: () => Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function toJsonSchema(schema: z.ZodType, direction: SchemaDirection, use: string): JsonSchema {
  let text: string;
  try {
    text = JSON.stringify(
      z.toJSONSchema(schema, { io: direction, override: ({ jsonSchema }) => refine(jsonSchema) }),
    );
  } catch (error) {
    const repeated = /^Duplicate schema id "(.*?)"/.exec(reasonOf(error))?.[1];
    if (repeated !== undefined) throw repeatedId(repeated, use);
    const field = findFieldWithoutForm(schema, direction);
    throw new StartError(
      `The schema of ${use}${field === '' ? '' : `, field ${JSON.stringify(field)},`} has no JSON form: end a transformation with .pipe(), and use types that JSON has.`,
      { cause: error },
    );
  }
  if (/"\$ref":"#(?:"|\/\$defs\/__schema)/.test(text)) {
    throw new StartError(`A schema in ${use} contains itself; give it an id with .meta({ id: 'Name' }).`);
  }
  return JSON.parse(text.replaceAll('"$ref":"#/$defs/', `"$ref":"${refPrefix}`));
}

function repeatedId(id: string, use: string): StartError {
  return new StartError(
    `The schema id "${id}" names two schemas, the second in ${use}; give each an id of its own (one schema whose forms for input and output differ counts as two).`,
  );
}

/** Returns the path of the first part of a schema that has no JSON form, such as `items[].at`; empty for the whole schema. */
function findFieldWithoutForm(schema: z.ZodType, direction: SchemaDirection): string {
  let found: string | undefined;
  z.toJSONSchema(schema, {
    io: direction,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema, path }) => {
      // An empty schema is any value, or the place of a part without a JSON form.
      if (Object.keys(jsonSchema).length === 0 && !hasForm(zodSchema, direction)) found ??= fieldName(path);
    },
  });
  return found ?? '';
}

function hasForm(schema: z.core.$ZodType, direction: SchemaDirection): boolean {
  try {
    z.toJSONSchema(schema, { io: direction });
    return true;
  } catch {
    return false;
  }
}

/** `properties`, `items`, `items`, `properties`, `at` is `items[].at`. */
function fieldName(path: readonly (string | number)[]): string {
  let name = '';
  for (let at = 0; at < path.length; at += 1) {
    if (path[at] === 'items') name += '[]';
    if (path[at] !== 'properties') continue;
    at += 1;
    name += name === '' ? path[at] : `.${path[at]}`;
  }
  return name;
}

/** The maximum length of a text of each format. A date-time has room for nanoseconds and an offset. */
const formatLengths: Readonly<Record<string, number>> = {
  'date-time': 35,
  date: 10,
  email: 254,
  ipv4: 15,
  ipv6: 45,
  uuid: 36,
};

/** Replaces patterns and names that are specific to zod by standard keywords. */
function refine(schema: JsonSchema): void {
  joinNull(schema);
  const maxLength = schema.format === undefined ? undefined : formatLengths[schema.format];
  if (maxLength !== undefined) {
    // The long pattern repeats the format, except for e-mail addresses, of which we accept fewer than the format allows.
    if (schema.format !== 'email') delete schema.pattern;
    schema.maxLength ??= maxLength;
  }
  if (isText(schema) && !hasAny(schema, ['format', 'pattern', 'enum', 'const'])) schema.pattern = withoutNul;
  if (schema.type === 'integer') schema.format = isInt32(schema) ? 'int32' : 'int64';
  // Every key of a JSON object is text.
  if (isDeepStrictEqual(schema.propertyNames, { type: 'string', pattern: withoutNul }))
    delete schema.propertyNames;
  if ('example' in schema) {
    schema.examples ??= [schema.example];
    delete schema.example;
  }
}

/** Writes a nullable value in the short way: `null` among the types, instead of a choice of two schemas. */
function joinNull(schema: JsonSchema): void {
  const [value, nothing, ...others] = schema.anyOf ?? [];
  if (value === undefined || nothing?.type !== 'null' || others.length > 0) return;
  if (typeof value.type !== 'string' || hasAny(value, ['enum', 'const'])) return;
  delete schema.anyOf;
  Object.assign(schema, { ...value, ...schema, type: [value.type, 'null'] });
}

/** No text may contain NUL: a request target and a header cannot carry it, and PostgreSQL cannot store it. */
const withoutNul = '^[^\\u0000]*$';

/** Returns whether the schema accepts text, with or without null. */
export function isText({ type }: JsonSchema): boolean {
  return type === 'string' || (Array.isArray(type) && type.includes('string'));
}

function hasAny(schema: JsonSchema, keywords: readonly string[]): boolean {
  return keywords.some((keyword) => keyword in schema);
}

function isInt32({ minimum = -Infinity, maximum = Infinity }: JsonSchema): boolean {
  return minimum >= -(2 ** 31) && maximum < 2 ** 31;
}
