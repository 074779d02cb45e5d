/**
 * From zod to JSON Schema 2020-12, as OpenAPI 3.1 has it. A schema with `.meta({ id: 'User' })` becomes a component
 * that is written once and referred to; every other one stands where it is used.
 *
 * What comes in and what goes out are two forms of one schema: a default makes a field optional on the way in and
 * certain on the way out, a transformation changes its type. So each conversion says which form it wants, and an
 * id can name only one: a generated client would otherwise get a type that fits half of its uses.
 */

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** `input` is what the client sends, `output` what the handler gets or what the client is answered. */
export type Form = 'input' | 'output';

export interface SchemaSet {
  /**
   * The schema in that form; its components are added to the set. `use` names the place for errors. Throws an
   * Error for what JSON Schema cannot say, and for an id that stands for two schemas.
   */
  convert(schema: z.ZodType, form: Form, use: string): JsonSchema;
  /** What goes under `components/schemas`, sorted by name. */
  components(): Record<string, JsonSchema>;
}

const refPrefix = '#/components/schemas/';

export function createSchemaSet(): SchemaSet {
  const components = new Map<string, JsonSchema>();
  const converted = { input: new Map<z.ZodType, JsonSchema>(), output: new Map<z.ZodType, JsonSchema>() };

  return {
    convert(schema, form, use) {
      // The schema of problems is in every refusal of every route: converting it each time took three quarters of it all.
      const known = converted[form].get(schema);
      if (known !== undefined) return known;
      const { $schema, $defs = {}, ...root } = toJsonSchema(schema, form, use);
      for (const [id, component] of Object.entries($defs)) {
        const known = components.get(id);
        if (known !== undefined && !isDeepStrictEqual(known, component)) {
          throw new Error(
            `The schema id "${id}" stands for two schemas, the second in ${use}; give each an id of its own (one schema whose forms for input and output differ counts as two).`,
          );
        }
        components.set(id, component);
      }
      converted[form].set(schema, root);
      return root;
    },
    components: () => Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function toJsonSchema(schema: z.ZodType, form: Form, use: string): JsonSchema {
  let text: string;
  try {
    text = JSON.stringify(
      z.toJSONSchema(schema, { io: form, override: ({ jsonSchema }) => refine(jsonSchema) }),
    );
  } catch (error) {
    throw new Error(
      `The schema of ${use} cannot be written as JSON Schema; end a transformation with .pipe().`,
      {
        cause: error,
      },
    );
  }
  if (/"\$ref":"#(?:"|\/\$defs\/__schema)/.test(text)) {
    throw new Error(`A schema in ${use} contains itself; give it an id with .meta({ id: 'Name' }).`);
  }
  return JSON.parse(text.replaceAll('"$ref":"#/$defs/', `"$ref":"${refPrefix}`));
}

/** The longest text of a format. A date-time has room for nanoseconds and an offset. */
const formatLengths: Readonly<Record<string, number>> = {
  'date-time': 35,
  date: 10,
  email: 254,
  ipv4: 15,
  ipv6: 45,
  uuid: 36,
};

/** Says in the document's own words what zod says in patterns and in names of its own. */
function refine(schema: JsonSchema): void {
  joinNull(schema);
  const maxLength = schema.format === undefined ? undefined : formatLengths[schema.format];
  if (maxLength !== undefined) {
    // The format says it already; the pattern is for machines, and long. Of e-mail addresses we accept fewer than the format.
    if (schema.format !== 'email') delete schema.pattern;
    schema.maxLength ??= maxLength;
  }
  if (isText(schema) && !says(schema, ['format', 'pattern', 'enum', 'const'])) schema.pattern = withoutNul;
  if (schema.type === 'integer') schema.format = isInt32(schema) ? 'int32' : 'int64';
  // Every key of a JSON object is text.
  if (isDeepStrictEqual(schema.propertyNames, { type: 'string', pattern: withoutNul }))
    delete schema.propertyNames;
  if ('example' in schema) {
    schema.examples ??= [schema.example];
    delete schema.example;
  }
}

/** "This or null" in the short way: with `null` among the types, not as a choice of two schemas. */
function joinNull(schema: JsonSchema): void {
  const [value, nothing, ...others] = schema.anyOf ?? [];
  if (value === undefined || nothing?.type !== 'null' || others.length > 0) return;
  if (typeof value.type !== 'string' || says(value, ['enum', 'const'])) return;
  delete schema.anyOf;
  Object.assign(schema, { ...value, ...schema, type: [value.type, 'null'] });
}

/** True of all text here: neither a target nor a header can carry NUL, and PostgreSQL cannot store it. */
const withoutNul = '^[^\\u0000]*$';

/** Whether the schema takes text, and perhaps null. */
export function isText({ type }: JsonSchema): boolean {
  return type === 'string' || (Array.isArray(type) && type.includes('string'));
}

function says(schema: JsonSchema, keywords: readonly string[]): boolean {
  return keywords.some((keyword) => keyword in schema);
}

function isInt32({ minimum = -Infinity, maximum = Infinity }: JsonSchema): boolean {
  return minimum >= -(2 ** 31) && maximum < 2 ** 31;
}
